"""What is said of a job at its end: labels, disabled samples, failures, videos left whole, cost."""

from dataclasses import dataclass

from labelbus_contracts.ids import JobId
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger import reports, spending
from labelbus_ledger.reports import Cost, FailureGroup
from labelbus_ledger.spending import Budget
from labelbus_ledger.tallies import LabelSummary


@dataclass(frozen=True, slots=True)
class Ending:
    """The most frequent labels and reasons first; `videos` are ids, `disabled` is how many were disabled.

    `waits` are samples that are to be tried again, by what their last attempt met.
    """

    labels: tuple[LabelSummary, ...]
    failures: tuple[FailureGroup, ...]
    waits: tuple[FailureGroup, ...]
    videos: tuple[int, ...]
    cost: Cost
    budget: Budget | None
    disabled: int = 0


async def ending(conn: AsyncConnection, job_id: str) -> Ending:
    """Return what is to be said of a job."""
    tally = await reports.label_tally(conn, job_id)
    return Ending(
        labels=tally.rows(),
        failures=await reports.failures(conn, job_id),
        waits=await reports.waits(conn, job_id),
        videos=await reports.videos_left_whole(conn, job_id),
        cost=await reports.cost(conn, job_id),
        budget=await spending.budget(conn, JobId(job_id)),
        disabled=tally.samples_disabled,
    )
