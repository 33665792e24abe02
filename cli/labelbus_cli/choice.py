"""Which samples a block works on: those that Studio names, or those that its labeler chooses by itself."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from labelbus_contracts.jobs import DataFilter
from labelbus_dispatcher.studio import fits, query
from labelbus_labeling.labeler import LabelerParameters, Registration
from labelbus_studio.client import StudioClient

from labelbus_cli.errors import BadInput
from labelbus_cli.ids_file import read_ids


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

    async def finds_any(self, client: StudioClient, project_id: int, *, studio_job_id: int | None) -> bool:
        """Tell whether the project has such a sample. Raises `StudioError`."""
        if self.ids is not None:
            return True
        asked = replace(query(self.data), proposed_actions_job_id=studio_job_id)
        async for page in client.pages(project_id, asked):
            if any(fits(one, self.data) for one in page):
                return True
        return False


def chosen(
    ids_file: Path | None, limit: int | None, registration: Registration, parameters: LabelerParameters
) -> Choice:
    """Return what a block's command line chooses. Raises `BadInput` where it must name samples."""
    if ids_file is not None:
        ids = read_ids(ids_file).lowest(limit)
        return Choice(ids.ids, ids.repeated)
    if registration.chooses is None:
        raise BadInput("Missing --data-ids-file. Give the JSON file with the ids of the samples.")
    return Choice(data=registration.chooses(parameters), limit=limit)
