"""Writing samples: labels, metadata, flags, proposals. All but the split set state."""

import json
from collections.abc import Mapping, Sequence

from labelbus_contracts.labels import BoundingBox, TimeRange

from labelbus_studio.answers import Call, Json
from labelbus_studio.calls import Calls
from labelbus_studio.fields import optional_whole
from labelbus_studio.proposals import ProposedChanges, boxes_body, ranges_body

IDS_PER_BATCH = 300
"""Ids travel in the address, whose length is bounded."""


class WriteCalls(Calls):
    """Write samples. All methods raise `StudioError`."""

    async def set_bounding_boxes(self, project_id: int, sample_id: int, boxes: Sequence[BoundingBox]) -> None:
        """Replace all boxes."""
        await self._set(project_id, sample_id, "bounding-boxes", {"boundingBoxes": boxes_body(boxes)})

    async def set_structured_labels(
        self, project_id: int, sample_id: int, ranges: Sequence[TimeRange]
    ) -> None:
        """Replace all ranges; they must cover every index of the sample, else Studio refuses."""
        await self._set(project_id, sample_id, "structured-labels", {"structuredLabels": ranges_body(ranges)})

    async def edit_label(self, project_id: int, sample_id: int, label: str) -> None:
        """Set the label of the whole sample; an empty one makes it unlabeled."""
        await self._set(project_id, sample_id, "edit-label", {"label": label})

    async def set_metadata(self, project_id: int, sample_id: int, metadata: Mapping[str, str]) -> None:
        """Set metadata. Give the whole map: whether Studio merges or replaces is not documented."""
        await self._set(project_id, sample_id, "metadata", {"metadata": dict(metadata)})

    async def disable(self, project_id: int, sample_id: int) -> None:
        """Take the sample out of training."""
        await self._set(project_id, sample_id, "disable", None)

    async def enable(self, project_id: int, sample_id: int) -> None:
        """Let the sample take part in training."""
        await self._set(project_id, sample_id, "enable", None)

    async def propose(self, project_id: int, sample_id: int, job_id: int, changes: ProposedChanges) -> None:
        """Propose changes in the preview of Studio's job `job_id`; replaces what its step proposed before."""
        body = {"jobId": int(job_id), "proposedChanges": changes.body()}
        await self._set(project_id, sample_id, "propose-changes", body)

    async def split_video(self, project_id: int, sample_id: int, *, fps: int | None = None) -> int | None:
        """Split a video in frames; a long one by a job whose id is returned. Not repeated when in doubt."""
        path = f"/api/{project_id}/raw-data/{sample_id}/split"
        body: Json = {} if fps is None else {"fps": int(fps)}
        call = Call(route="split", path=path, method="POST", body=body, sample=sample_id, repeatable=False)
        return optional_whole((await self.ask(call)).get("id"), "job id")

    async def add_metadata(self, project_id: int, ids: Sequence[int], key: str, value: str) -> int | None:
        """Set one metadata value on many samples. Returns the last job's id if Studio works later.

        Goes in parts, one after another. No ids would mean every sample: then nothing is sent.
        """
        unique = sorted({int(one) for one in ids})
        job_id: int | None = None
        for i in range(0, len(unique), IDS_PER_BATCH):
            call = Call(
                route="batch-add-metadata",
                path=f"/api/{project_id}/raw-data/batch/add-metadata",
                method="POST",
                params={
                    "category": "all",
                    "ids": json.dumps(unique[i : i + IDS_PER_BATCH], separators=(",", ":")),
                },
                body={"metadataKey": key, "metadataValue": value},
            )
            job_id = optional_whole((await self.ask(call)).get("id"), "job id") or job_id
        return job_id

    async def _set(self, project_id: int, sample_id: int, what: str, body: Json | None) -> None:
        path = f"/api/{project_id}/raw-data/{sample_id}/{what}"
        await self.ask(Call(route=what, path=path, method="POST", body=body, sample=sample_id))
