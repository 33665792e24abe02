"""Where commands look at jobs: in the ledger, or by a cluster's HTTP API where LABELBUS_URL names it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from labelbus_ledger import reports
from labelbus_ledger.endings import Ending, ending
from labelbus_ledger.engine import Ledger
from labelbus_ledger.reports import JobRow, Progress

from labelbus_cli.cluster_address import address, is_given
from labelbus_cli.errors import BadInput
from labelbus_cli.ownership import is_run
from labelbus_cli.session import opened_ledger

LAST = "last"
"""What stands for the newest job wherever an id is asked for; ids are hexadecimal."""


class JobSource(Protocol):
    """What `labelbus jobs` asks about jobs."""

    async def newest(self, *, prefix: str = "", limit: int) -> Sequence[str]:
        """Return the ids of jobs that start with `prefix`, newest first."""

    async def job(self, job_id: str) -> JobRow | None:
        """Return a job; None where nobody has taken it up."""

    async def look(self, job_id: str) -> tuple[JobRow, Progress] | None:
        """Return a job and how far it is; None where nobody has taken it up."""

    async def is_interrupted(self, job: JobRow) -> bool:
        """Tell whether a job should run, but its process is gone."""

    async def ending(self, job_id: str) -> Ending:
        """Return what is to be said of a job at its end."""


class LedgerJobs:
    """Jobs as the ledger has them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def newest(self, *, prefix: str = "", limit: int) -> Sequence[str]:
        """Return the ids of jobs that start with `prefix`, newest first."""
        async with self._ledger.read() as connection:
            found = await reports.list_jobs(connection, prefix=prefix, limit=limit)
            return [one.job_id for one in found]

    async def job(self, job_id: str) -> JobRow | None:
        """Return a job; None where nobody has taken it up."""
        async with self._ledger.read() as connection:
            return await reports.find_job(connection, job_id)

    async def look(self, job_id: str) -> tuple[JobRow, Progress] | None:
        """Return a job and how far it is; None where nobody has taken it up."""
        async with self._ledger.read() as connection:
            job = await reports.find_job(connection, job_id)
            return None if job is None else (job, await reports.progress(connection, job_id))

    async def is_interrupted(self, job: JobRow) -> bool:
        """Tell whether a job should run, but its process is gone."""
        if not job.is_embedded or job.ended_at is not None or job.state == "paused":
            return False
        async with self._ledger.read() as connection:
            return not await is_run(connection, job.carrier)

    async def ending(self, job_id: str) -> Ending:
        """Return what is to be said of a job at its end."""
        async with self._ledger.read() as connection:
            return await ending(connection, job_id)


@asynccontextmanager
async def opened_jobs() -> AsyncIterator[JobSource]:
    """Open the cluster that the environment names, else the ledger. Raises `BadInput`."""
    if is_given():
        from labelbus_cli.cluster_api import ClusterApi  # with the dispatcher's models: most need neither
        from labelbus_cli.cluster_jobs import ClusterJobs

        async with ClusterApi(address()) as api:
            yield ClusterJobs(api)
        return
    async with opened_ledger() as ledger:
        yield LedgerJobs(ledger)


async def job_named(jobs: JobSource, prefix: str) -> JobRow:
    """Return the one job whose id starts with `prefix`; `last` is the newest. Raises `BadInput`."""
    if prefix == LAST:
        found = await jobs.newest(limit=1)
    else:
        found = await jobs.newest(prefix=prefix, limit=6)
    job = await jobs.job(_only(found, prefix))
    if job is None:
        raise _no_job(prefix)
    return job


def _no_job(prefix: str) -> BadInput:
    return BadInput(
        f"There is no job '{prefix}'. `labelbus jobs list` shows them; one that was just submitted is there "
        "once a dispatcher has taken it up."
    )


def _only(found: Sequence[str], prefix: str) -> str:
    """Return the id that was meant. Raises `BadInput` for none or several."""
    if prefix in found:
        return prefix
    if len(found) == 1:
        return found[0]
    if not found:
        raise _no_job(prefix)
    ids = ", ".join(job_id[:12] for job_id in found)
    raise BadInput(f"Several jobs begin with '{prefix}': {ids}. Give more of the id.")


def check_can_be_applied(job: JobRow, *, go_on: str) -> None:
    """Raise `BadInput` for what is no preview, or has not ended: `labelbus jobs GO_ON` sees to that."""
    if job.mode != "preview":
        raise BadInput(f"Job {job.job_id} is an applied one; only a preview can be applied.")
    if job.ended_at is None:
        raise BadInput(
            f"Job {job.job_id} is {job.state}. Let it end first: `labelbus jobs {go_on} {job.job_id[:8]}`."
        )
