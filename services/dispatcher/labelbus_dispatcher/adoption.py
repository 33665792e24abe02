"""Take over the jobs of embedded processes that are gone."""

import time

from labelbus_contracts.ids import JobId
from labelbus_ledger import job_rows, job_samples
from labelbus_ledger.engine import Ledger


async def adopt(ledger: Ledger, carrier_id: str) -> tuple[JobId, ...]:
    """Make abandoned jobs ours; what they had in flight is pending again at once.

    A job is abandoned when its carrier is an embedded process whose lease has lapsed. Raises `Unavailable`.
    """
    now = time.time()
    async with ledger.read() as conn:
        heads = await job_rows.abandoned(conn, now=now, not_by=carrier_id)
    taken: list[JobId] = []
    for head in heads:
        async with ledger.write() as conn:
            if await job_samples.take_over(conn, head, carrier=carrier_id, now=now):
                taken.append(head.job_id)
    return tuple(taken)
