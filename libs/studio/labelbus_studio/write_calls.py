"""Writing samples: labels, metadata, flags, proposals, batches. All but the split set state."""

import json
from collections.abc import Mapping, Sequence

from labelbus_contracts.labels import BoundingBox, TimeRange

from labelbus_studio.answers import Call, Json
from labelbus_studio.calls import Calls
from labelbus_studio.fields import optional_whole, rows
from labelbus_studio.proposals import Proposal, ProposedChanges, boxes_body, ranges_body, read_proposal

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

    async def proposals(self, project_id: int, job_id: int) -> list[Proposal]:
        """Return what a preview job of Studio proposes, one entry for each sample and step."""
        path = f"/api/{project_id}/raw-data/ai-actions-preview/{job_id}/proposed-changes"
        answer = await self.ask(Call(route="proposals", path=path))
        return [read_proposal(row) for row in rows(answer.get("proposedChanges"), "proposedChanges")]

    async def clear_proposals(self, project_id: int, action_id: int) -> None:
        """Drop the proposals of an AI labeling action's last preview. Studio does this on a GET."""
        path = f"/api/{project_id}/ai-actions/{action_id}/clear-proposed-changes"
        await self.ask(Call(route="clear-proposals", path=path))

    async def split_video(self, project_id: int, sample_id: int, *, fps: int | None = None) -> int | None:
        """Split a video in frames; a long one by a job whose id is returned. Not repeated when in doubt."""
        path = f"/api/{project_id}/raw-data/{sample_id}/split"
        body: Json = {} if fps is None else {"fps": int(fps)}
        call = Call(route="split", path=path, method="POST", body=body, sample=sample_id, repeatable=False)
        return optional_whole((await self.ask(call)).get("id"), "job id")

    async def add_metadata(self, project_id: int, ids: Sequence[int], key: str, value: str) -> int | None:
        """Set one metadata value on many samples. Returns the last job's id if Studio works later."""
        return await self._batch(
            project_id, "add-metadata", ids, {"metadataKey": key, "metadataValue": value}
        )

    async def edit_labels(self, project_id: int, ids: Sequence[int], label: str) -> int | None:
        """Set one label on many samples. Returns the last job's id if Studio works later."""
        return await self._batch(project_id, "edit-labels", ids, {"label": label})

    async def enable_samples(self, project_id: int, ids: Sequence[int]) -> int | None:
        """Enable many samples. Returns the last job's id if Studio works later."""
        return await self._batch(project_id, "enable-samples", ids, None)

    async def disable_samples(self, project_id: int, ids: Sequence[int]) -> int | None:
        """Disable many samples. Returns the last job's id if Studio works later."""
        return await self._batch(project_id, "disable-samples", ids, None)

    async def _set(self, project_id: int, sample_id: int, what: str, body: Json | None) -> None:
        path = f"/api/{project_id}/raw-data/{sample_id}/{what}"
        await self.ask(Call(route=what, path=path, method="POST", body=body, sample=sample_id))

    async def _batch(self, project_id: int, what: str, ids: Sequence[int], body: Json | None) -> int | None:
        """Send a batch edit in parts, one after another. No ids would mean every sample: then nothing."""
        unique = sorted({int(one) for one in ids})
        job_id: int | None = None
        for i in range(0, len(unique), IDS_PER_BATCH):
            call = Call(
                route=f"batch-{what}",
                path=f"/api/{project_id}/raw-data/batch/{what}",
                method="POST",
                params={
                    "category": "all",
                    "ids": json.dumps(unique[i : i + IDS_PER_BATCH], separators=(",", ":")),
                },
                body=body,
            )
            job_id = optional_whole((await self.ask(call)).get("id"), "job id") or job_id
        return job_id
