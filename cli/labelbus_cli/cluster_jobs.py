"""Jobs of a cluster, as its HTTP API shows them."""

from collections.abc import Sequence

from labelbus_dispatcher.api_models import JobDetail
from labelbus_ledger.endings import Ending
from labelbus_ledger.reports import JobRow, Progress

from labelbus_cli.cluster_api import ClusterApi


class ClusterJobs:
    """Jobs as a cluster's HTTP API shows them."""

    def __init__(self, api: ClusterApi) -> None:
        self._api = api

    async def newest(self, *, prefix: str = "", limit: int) -> Sequence[str]:
        """Return the ids of jobs that start with `prefix`, newest first."""
        return [one.job_id for one in await self._api.jobs(prefix=prefix, limit=limit)]

    async def job(self, job_id: str) -> JobRow | None:
        """Return a job; None where nobody has taken it up."""
        found = await self._api.job(job_id)
        return None if found is None else row_of(found)

    async def look(self, job_id: str) -> tuple[JobRow, Progress] | None:
        """Return a job and how far it is; None where nobody has taken it up."""
        found = await self._api.job(job_id)
        return None if found is None else (row_of(found), progress_of(found))

    async def is_interrupted(self, job: JobRow) -> bool:
        """Return False: a cluster's jobs belong to no single process."""
        return False

    async def ending(self, job_id: str) -> Ending:
        """Return what is to be said of a job at its end."""
        return await self._api.ending(job_id)


def row_of(job: JobDetail) -> JobRow:
    """Return a job of the HTTP API as the ledger's reports have it."""
    return JobRow(
        job_id=job.job_id,
        project_id=job.project_id,
        carrier=job.carrier,
        action_name=job.action,
        mode=job.mode,
        state=job.state,
        desired_state=job.desired_state,
        reason=job.reason,
        run=job.run,
        selected=job.selected,
        total=job.total,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        submit=job.submit,
    )


def progress_of(job: JobDetail) -> Progress:
    """Return how far a job of the HTTP API is."""
    return Progress(job.counts, job.open_by_step)
