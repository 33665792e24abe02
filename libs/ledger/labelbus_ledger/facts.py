"""What a page about one job shows, gathered in one pass. Reads only."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger import reports
from labelbus_ledger.remarks import Remark, remarks
from labelbus_ledger.reports import Cost, FailureGroup, JobRow, Progress, SampleChange
from labelbus_ledger.tallies import Difference, LabelSummary, LabelTally


@dataclass(frozen=True, slots=True)
class Facts:
    """What the ledger says of a job. `difference` is of all samples, `shown` are those that changed most."""

    job: JobRow
    progress: Progress
    failures: tuple[FailureGroup, ...]
    labels: tuple[LabelSummary, ...]
    difference: Difference
    cost: Cost
    shown: tuple[SampleChange, ...]
    remarks: Mapping[int, tuple[Remark, ...]]


async def gather(conn: AsyncConnection, job: JobRow, *, pictures: int) -> Facts:
    """Read all that the page says. Holds `pictures` samples in memory, whatever the size of the job."""
    tally = LabelTally()
    most: list[tuple[int, int]] = []
    async for sample_id, before, after in reports.sides(conn, job.job_id):
        entry = (tally.add(before, after), -sample_id)
        if len(most) < pictures:
            heapq.heappush(most, entry)
        elif pictures:
            heapq.heappushpop(most, entry)
    ids = [-negated for _, negated in sorted(most, reverse=True)]
    found = {one.sample_id: one async for one in reports.changes(conn, job.job_id, only=ids)}
    shown = tuple(found[sample_id] for sample_id in ids)
    return Facts(
        job=job,
        progress=await reports.progress(conn, job.job_id),
        failures=await reports.failures(conn, job.job_id),
        labels=tally.rows(),
        difference=tally.total,
        cost=await reports.cost(conn, job.job_id),
        shown=shown,
        remarks=await remarks(conn, job, {change.sample_id for change in shown}),
    )
