"""Three real processes on PostgreSQL share one key's limits and one job's budget."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from labelbus_contracts.ids import JobId
from labelbus_ledger import spending
from labelbus_ledger.engine import Ledger, LedgerSettings, upgrade
from pydantic import SecretStr

pytestmark = pytest.mark.postgres
WORKER = Path(__file__).with_name("paid_worker.py")
JOB = JobId("job")
COST_USD = 0.01


@dataclass
class Provider:
    """Serves on a local port; rejects what its bucket of ten seconds cannot bear."""

    per_s: float
    level: float = 0.0
    at: float = 0.0
    served: list[float] = field(default_factory=list)
    rejected: int = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        now = time.monotonic()
        self.level = min(10 * self.per_s, self.level + (now - self.at) * self.per_s)
        self.at = now
        if self.level < 1:
            self.rejected += 1
            writer.write(f"429 {(1 - self.level) / self.per_s}\n".encode())
        else:
            self.level -= 1
            self.served.append(now)
            await asyncio.sleep(0.05)
            writer.write(b"200 0\n")
        writer.close()

    async def until_served(self, number: int) -> None:
        """Wait until so many calls were served."""
        async with asyncio.timeout(60):
            while len(self.served) < number:  # noqa: ASYNC110  # the workers are other processes
                await asyncio.sleep(0.05)


@dataclass
class Shop:
    """A ledger, a provider on a port, and processes that ask it."""

    url: str
    ledger: Ledger
    provider: Provider
    port: int
    workers: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(self, name: str, *, concurrency: int, rpm: float) -> None:
        """Start a process."""
        given = (self.url, self.port, name, concurrency, COST_USD, rpm)
        self.workers.append(
            await asyncio.create_subprocess_exec(sys.executable, str(WORKER), *map(str, given))
        )


@asynccontextmanager
async def opened(url: str, *, per_s: float, cap_usd: float | None) -> AsyncIterator[Shop]:
    """Open a shop; at the end no process is left."""
    settings = LedgerSettings(database_url=SecretStr(url))
    await upgrade(settings)
    ledger = await Ledger.open(settings)
    async with ledger.write() as conn:
        await spending.set_cap(ledger, conn, JOB, cap_usd)
    provider = Provider(per_s)
    server = await asyncio.start_server(provider.answer, "127.0.0.1", 0)
    shop = Shop(url, ledger, provider, server.sockets[0].getsockname()[1])
    try:
        yield shop
    finally:
        for worker in shop.workers:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
        server.close()
        await server.wait_closed()
        await ledger.close()


async def test_limits_across_processes(postgres_url: str) -> None:
    """Three processes use at least 95 % of a key's limit, and less than 0.1 % of their calls are rejected."""
    per_s, window_s = 30.0, 8.0
    async with opened(postgres_url, per_s=per_s, cap_usd=None) as shop:
        for name in "abc":
            await shop.start(name, concurrency=24, rpm=60 * per_s)
        await shop.provider.until_served(int(6 * per_s))  # past the first burst
        begins = time.monotonic()
        await asyncio.sleep(window_s)
        served = sum(begins <= at < begins + window_s for at in shop.provider.served)
        rejected = shop.provider.rejected
        total = len(shop.provider.served)
    assert served >= 0.95 * per_s * window_s
    assert rejected < max(1, 0.001 * total)


async def test_budget_across_processes(postgres_url: str) -> None:
    """The provider never bills more than the cap; what a killed process held counts as spent."""
    async with opened(postgres_url, per_s=1000.0, cap_usd=1.0) as shop:
        for name in "abc":
            await shop.start(name, concurrency=6, rpm=0.0)
        await shop.provider.until_served(20)
        shop.workers[0].kill()
        for worker in shop.workers[1:]:
            assert await asyncio.wait_for(worker.wait(), 60) == 0
        async with shop.ledger.read() as conn:
            budget = await spending.budget(conn, JOB)
        assert budget is not None
        assert 0.02 <= budget.held_usd <= 0.12  # the killed one's, at the worst case
        assert 0.8 <= budget.spent_usd + budget.held_usd <= 1.0
        assert COST_USD * len(shop.provider.served) <= budget.spent_usd + budget.held_usd
