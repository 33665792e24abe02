"""Set the action's metadata on what a job committed, in batches; restartable at any point."""

import asyncio
from collections.abc import Sequence
from typing import Final

from labelbus_contracts.ids import ProjectId, SampleId
from labelbus_contracts.v1.commands import FinishJob
from labelbus_contracts.v1.events import JobMetadataSet
from labelbus_contracts.v1.message import message_id
from labelbus_ledger.access import StudioAccess, as_runtime_error
from labelbus_ledger.records import Records
from labelbus_runtime.errors import RetryLater, SampleRefused
from labelbus_studio.client import StudioClient
from labelbus_studio.errors import StudioError, StudioUnavailable

from labelbus_committer.settings import CommitterSettings

IDS_PER_CALL: Final = 300
_MAX_REASON: Final = 2000


class JobFinisher:
    """Handles `FinishJob`. Raises `RetryLater` while Studio is away, `Unavailable` while the ledger is."""

    def __init__(self, records: Records, *, access: StudioAccess, settings: CommitterSettings) -> None:
        self._records = records
        self._access = access
        self._settings = settings

    async def __call__(self, command: FinishJob) -> JobMetadataSet:
        """Set the metadata where it lacks, and say on how many samples it is and on how many it is not.

        A preview writes nothing. A key that Studio refuses fails the rest.
        """
        if command.mode == "preview" or not command.metadata:
            return _answer(command, 0, 0, "")
        failed, reason, after = 0, "", 0
        while ids := await self._records.without_metadata(command.job_id, after=after, limit=IDS_PER_CALL):
            after = ids[-1]
            try:
                await self._set(command, ids)
            except SampleRefused as error:
                failed, reason = failed + len(ids), error.reason
        return _answer(command, await self._records.count_with_metadata(command.job_id), failed, reason)

    async def _set(self, command: FinishJob, ids: Sequence[SampleId]) -> None:
        try:
            client = await self._access.client(command.project_id, command.secret)
            for key, value in sorted(command.metadata.items()):
                job_id = await client.add_metadata(command.project_id, ids, key, value)
                if job_id is not None:
                    await self._wait(client, command.project_id, job_id)
        except StudioError as error:
            raise _final(as_runtime_error(error, project_id=command.project_id)) from error
        except RetryLater as error:
            raise _final(error) from error
        await self._records.metadata_is_set(command.job_id, ids)

    async def _wait(self, client: StudioClient, project_id: ProjectId, job_id: int) -> None:
        """Wait for Studio's own job; setting the same values again is harmless if it takes too long."""
        try:
            async with asyncio.timeout(self._settings.finish_wait_s):
                while (job := await client.job(project_id, job_id)).finished is None:  # noqa: ASYNC110 - remote
                    await asyncio.sleep(self._settings.finish_poll_s)
        except TimeoutError as error:
            raise StudioUnavailable(f"Studio's job {job_id} has not ended in time.") from error
        if not job.succeeded:
            raise SampleRefused(f"Studio's job {job_id} that sets metadata failed. Set it in Studio.")


def _final(error: RetryLater | SampleRefused) -> RetryLater | SampleRefused:
    """Return the error; a refused key ends it, since the job itself is over and pauses no more."""
    if isinstance(error, RetryLater) and error.scope == "job":
        return SampleRefused(error.reason, code=error.code)
    return error


def _answer(command: FinishJob, samples: int, failed: int, reason: str) -> JobMetadataSet:
    return JobMetadataSet(
        id=message_id("job_metadata_set", command.job_id, command.run),
        job_id=command.job_id,
        run=command.run,
        samples=samples,
        failed=failed,
        reason=reason[:_MAX_REASON],
    )
