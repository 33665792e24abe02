"""What is said of a job at its end: labels, failures, videos that were left whole. Reads only."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger import reports
from labelbus_ledger.reports import FailureGroup, LabelSummary


@dataclass(frozen=True, slots=True)
class Ending:
    """The most frequent labels and reasons first; `videos` are sample ids."""

    labels: tuple[LabelSummary, ...]
    failures: tuple[FailureGroup, ...]
    videos: tuple[int, ...] = ()


async def ending(conn: AsyncConnection, job_id: str) -> Ending:
    """Return what is to be said of a job."""
    return Ending(
        labels=await reports.label_summary(conn, job_id),
        failures=await reports.failures(conn, job_id),
        videos=tuple(await reports.videos_left_whole(conn, job_id)),
    )
