"""Which samples of a project a list, a count or a batch means."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from labelbus_studio.answers import Param

Category = Literal["all", "training", "testing", "validation", "post-processing"]


@dataclass(frozen=True, slots=True)
class MetadataFilter:
    """Samples that have (`eq`) or lack (`neq`) a metadata key, or one of the `values` for it.

    Whether `neq` finds samples without any metadata is not documented: to miss none, do not filter by it
    but look at the metadata of all samples.
    """

    key: str
    op: Literal["eq", "neq"] = "eq"
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SampleQuery:
    """A filter; all of its parts must hold. `min_id` is inclusive, `max_id` exclusive.

    `name` is a part of the file name, `search` is Studio's free search. With `proposed_actions_job_id` the
    samples are answered as the earlier steps of that Studio job propose them.
    """

    category: Category = "all"
    labels: tuple[str, ...] = ()
    name: str | None = None
    search: str | None = None
    metadata: tuple[MetadataFilter, ...] = ()
    data_type: Literal["audio", "image"] | None = None
    min_id: int | None = None
    max_id: int | None = None
    include_disabled: Literal["both", "enabled", "disabled"] = "both"
    proposed_actions_job_id: int | None = None

    def filters(self) -> Mapping[str, Param]:
        """Return the query parameters. What is not asked for is left out: an empty filter is undocumented."""
        return {
            "category": self.category,
            "includeDisabled": self.include_disabled,
            "labels": json.dumps(list(self.labels)) if self.labels else None,
            "filename": self.name or None,
            "search": self.search or None,
            "metadata": json.dumps(self._metadata()) if self.metadata else None,
            "dataType": self.data_type,
            "minId": self.min_id,
            "maxId": self.max_id,
        }

    def _metadata(self) -> list[dict[str, object]]:
        items: list[dict[str, object]] = [
            {"key": one.key, "op": one.op, **({"values": list(one.values)} if one.values else {})}
            for one in self.metadata
        ]
        return [*items, {"filters_combinator": "and"}]
