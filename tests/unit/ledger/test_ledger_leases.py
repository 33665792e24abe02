"""A lease has one holder at a time, also between processes."""

import asyncio
import sys

import pytest
import sqlalchemy as sa
from labelbus_ledger.clock import now_of
from labelbus_ledger.engine import Ledger, LedgerSettings
from labelbus_ledger.leases import Lease
from labelbus_ledger.tables import leases

_RIVAL = """
import asyncio, sys
from labelbus_ledger.engine import Ledger, LedgerSettings
from labelbus_ledger.leases import Lease

async def main(holder):
    ledger = await Ledger.open(LedgerSettings())
    sys.stdin.readline()
    won = 0
    for number in range(40):
        won += await Lease(ledger, f"race {number}", holder, 60).acquire_or_renew()
    print(won)
    await ledger.close()

asyncio.run(main(sys.argv[1]))
"""


async def _holder(ledger: Ledger, name: str = "refill") -> str | None:
    async with ledger.read() as connection:
        query = sa.select(leases.c.holder).where(
            leases.c.name == name, leases.c.expires_at >= now_of(connection)
        )
        return (await connection.scalars(query)).one_or_none()


async def test_one_holder(ledger: Ledger) -> None:
    """Whoever comes second does not get it; the holder renews."""
    first, second = Lease(ledger, "refill", "a", 60), Lease(ledger, "refill", "b", 60)
    assert await first.acquire_or_renew()
    assert not await second.acquire_or_renew()
    assert await first.acquire_or_renew()
    assert await _holder(ledger) == "a"


async def test_takeover(ledger: Ledger) -> None:
    """A lapsed lease belongs to nobody and is taken over; the old holder learns it."""
    first, second = Lease(ledger, "refill", "a", 60), Lease(ledger, "refill", "b", 60)
    await first.acquire_or_renew()
    async with ledger.write() as connection:
        await connection.execute(sa.update(leases).values(expires_at=1.0))
    assert await _holder(ledger) is None
    assert await second.acquire_or_renew()
    assert not await first.acquire_or_renew()


async def test_release(ledger: Ledger) -> None:
    """A released lease is free at once; nobody releases another's."""
    first, second = Lease(ledger, "refill", "a", 60), Lease(ledger, "refill", "b", 60)
    await first.acquire_or_renew()
    await second.release()
    assert await _holder(ledger) == "a"
    await first.release()
    assert await second.acquire_or_renew()


async def test_two_processes(ledger: Ledger, settings: LedgerSettings) -> None:
    """Of two processes that race for forty leases, exactly one gets each."""
    env = {"LABELBUS_HOME": str(settings.home)}
    if settings.database_url:
        env["LABELBUS_DATABASE_URL"] = settings.database_url.get_secret_value()
    rivals = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", _RIVAL, holder, env=env,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for holder in ("a", "b")
    ]  # fmt: skip
    answers = await asyncio.gather(*(rival.communicate(b"go\n") for rival in rivals))
    assert sum(int(output) for output, _ in answers) == 40
    async with ledger.read() as connection:
        assert await connection.scalar(sa.select(sa.func.count()).select_from(leases)) == 40


@pytest.mark.parametrize("rivals", [8])
async def test_many_at_once(ledger: Ledger, rivals: int) -> None:
    """Of many that ask at once, one gets it."""
    wishes = [Lease(ledger, "refill", str(number), 60).acquire_or_renew() for number in range(rivals)]
    assert sum(await asyncio.gather(*wishes)) == 1
