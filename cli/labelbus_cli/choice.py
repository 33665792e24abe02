"""Which samples a block works on: those that Studio names, or those that its labeler chooses by itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from labelbus_contracts.ids import ProjectId
from labelbus_contracts.jobs import ActionSpec, DataFilter, StepSpec
from labelbus_dispatcher.studio import fits, query
from labelbus_labeling.labeler import LabelerParameters, Registration
from labelbus_studio.client import StudioClient
from pydantic import JsonValue

from labelbus_cli.errors import BadInput
from labelbus_cli.ids_file import read_ids
from labelbus_cli.plan import Wish


@dataclass(frozen=True, slots=True)
class Choice:
    """Given ids, `repeated` of them dropped; or with `ids` None what a filter finds, the newest `limit`."""

    ids: tuple[int, ...] | None = None
    repeated: int = 0
    data: DataFilter = field(default_factory=DataFilter)
    limit: int | None = None

    @property
    def said(self) -> str:
        """Say it to people: `12 samples`, `the unlabeled images and videos, 5 at most`."""
        if self.ids is not None:
            return f"{len(self.ids)} samples"
        kinds = " and ".join(f"{kind}s" for kind in self.data.kinds) or "samples"
        words = ["the"] if self.data.which == "all" else ["the", self.data.which]
        words += [kinds, "with labels"] if self.data.labeled else [kinds]
        return " ".join(words) + (f", {self.limit} at most" if self.limit else "")

    def wish(
        self,
        project_id: ProjectId,
        registration: Registration,
        parameters: Mapping[str, JsonValue],
        *,
        studio_job_id: int | None,
    ) -> Wish:
        """Return the job of a block: a preview where Studio names one of its own to show it in."""
        step = StepSpec(labeler=registration.name, parameters=dict(parameters))
        return Wish(
            project_id=project_id,
            action=ActionSpec(name=registration.title, steps=(step,), data=self.data),
            ids=self.ids,
            limit=self.limit,
            mode="preview" if studio_job_id else "apply",
            studio_job_id=studio_job_id,
        )

    async def finds_any(self, client: StudioClient, project_id: int, *, studio_job_id: int | None) -> bool:
        """Tell whether samples are named, or the project has such. Raises `StudioError`."""
        if self.ids is not None:
            return bool(self.ids)
        asked = replace(query(self.data), proposed_actions_job_id=studio_job_id)
        async for page in client.pages(project_id, asked):
            if any(fits(one, self.data) for one in page):
                return True
        return False

    def nothing_in(self, where: str) -> str:
        """Say that no sample is to be worked on. For a block that is no fault: actions run on schedules."""
        if self.ids is not None:
            return "Nothing to do: the ids file names no sample."
        return f"Nothing to do: {where} has none of what the block works on, {self.said}."


def chosen(
    ids_file: Path | None, limit: int | None, registration: Registration, parameters: LabelerParameters
) -> Choice:
    """Return what a block's command line chooses. Raises `BadInput` where it must name samples."""
    if ids_file is not None:
        ids = read_ids(ids_file, may_be_empty=True).lowest(limit)
        return Choice(ids.ids, ids.repeated)
    if registration.chooses is None:
        raise BadInput("Missing --data-ids-file. Give the JSON file with the ids of the samples.")
    return Choice(data=registration.chooses(parameters), limit=limit)
