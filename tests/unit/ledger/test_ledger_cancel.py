"""Cancelled transactions: a worker's timeout, a stop in the middle of a turn."""

import asyncio
import random

import sqlalchemy as sa
from labelbus_ledger.engine import Ledger
from labelbus_ledger.tables import leases


async def test_a_cancelled_transaction_leaves_nothing_locked(ledger: Ledger) -> None:
    """Wherever cancelling hits, the next writer writes."""
    chance = random.Random(1)

    async def write(name: str) -> None:
        async with ledger.write() as conn:
            await conn.execute(ledger.insert(leases).values(name=name, holder="x", expires_at=0.0))
            await conn.execute(sa.select(leases).limit(1))

    for n in range(60):
        task = asyncio.create_task(write(f"cancelled {n}"))
        await asyncio.sleep(chance.random() * 0.004)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(5):
            await write(f"after {n}")
