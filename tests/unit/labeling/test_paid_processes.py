"""Three real processes on PostgreSQL share one key's limits and one job's budget."""

import asyncio
import contextlib
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
TOKENS_USED = 50  # of each call of a worker


@dataclass
class Provider:
    """Serves on a local port; rejects what its bucket of ten seconds cannot bear, `takes` for each call."""

    per_s: float
    takes: int = 1
    level: float = 0.0
    at: float = 0.0
    served: list[float] = field(default_factory=list)
    rejected: int = 0
    waiting: list[str] = field(default_factory=list)
    open_lines: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection, whose question begins with its process's name, and close it."""
        self.open_lines.add(writer)
        try:
            name, _, _ = (await reader.readline()).decode().partition(":")
            writer.write((await self._answer(name)).encode())
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self.open_lines.discard(writer)

    async def _answer(self, name: str) -> str:
        now = time.monotonic()
        self.level = min(10 * self.per_s, self.level + (now - self.at) * self.per_s)
        self.at = now
        if self.level < self.takes:
            self.rejected += 1
            return f"429 {(self.takes - self.level) / self.per_s}\n"
        self.level -= self.takes
        self.served.append(now)
        self.waiting.append(name)
        await asyncio.sleep(0.05)
        self.waiting.remove(name)
        return "200 0\n"

    async def until_served(self, number: int) -> None:
        """Wait until so many calls were served."""
        async with asyncio.timeout(60):
            while len(self.served) < number:  # noqa: ASYNC110  # the workers are other processes
                await asyncio.sleep(0.05)

    async def until_waiting(self, name: str) -> None:
        """Wait until a process has asked and has no answer yet."""
        async with asyncio.timeout(60):
            while name not in self.waiting:  # noqa: ASYNC110  # it is another process
                await asyncio.sleep(0.01)

    async def until_quiet(self) -> None:
        """Wait until no connection is open: one left to the collector warns in a later test."""
        async with asyncio.timeout(10):
            while self.open_lines:  # noqa: ASYNC110  # the callers are other processes
                await asyncio.sleep(0.02)


@dataclass
class Shop:
    """A ledger, a provider on a port, and processes that ask it."""

    url: str
    ledger: Ledger
    provider: Provider
    port: int
    workers: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(self, name: str, *, concurrency: int, rpm: float = 0.0, tpm: float = 0.0) -> None:
        """Start a process; 0 is no limit."""
        given = (self.url, self.port, name, concurrency, COST_USD, rpm, tpm)
        self.workers.append(
            await asyncio.create_subprocess_exec(sys.executable, str(WORKER), *map(str, given))
        )


@asynccontextmanager
async def opened(url: str, *, per_s: float, cap_usd: float | None, takes: int = 1) -> AsyncIterator[Shop]:
    """Open a shop; at the end no process is left."""
    settings = LedgerSettings(database_url=SecretStr(url))
    await upgrade(settings)
    ledger = await Ledger.open(settings)
    async with ledger.write() as conn:
        await spending.set_cap(ledger, conn, JOB, cap_usd)
    provider = Provider(per_s, takes)
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
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
        await provider.until_quiet()
        await ledger.close()


@pytest.mark.parametrize(("limit", "takes"), [("rpm", 1), ("tpm", TOKENS_USED)])
async def test_limits_across_processes(postgres_url: str, limit: str, takes: int) -> None:
    """Three processes use at least 95 % of a key's limit, and less than 0.1 % of their calls are rejected.

    Of tokens they reserve twice what a call takes, and give half of it back.
    """
    per_s, window_s = 20.0, 10.0
    async with opened(postgres_url, per_s=per_s * takes, cap_usd=None, takes=takes) as shop:
        for name in "abc":
            await shop.start(name, concurrency=24, **{limit: 60 * per_s * takes})
        await shop.provider.until_served(int(6 * per_s))  # past the first burst
        enough = 0.95 * per_s * window_s
        for _ in range(3):  # other work on the machine may starve the workers, not the limit
            begins = time.monotonic()
            await asyncio.sleep(window_s)
            served = sum(begins <= at < begins + window_s for at in shop.provider.served)
            if served >= enough:
                break
        rejected = shop.provider.rejected
        total = len(shop.provider.served)
    assert served >= enough
    assert rejected < max(1, 0.001 * total)


async def test_budget_across_processes(postgres_url: str) -> None:
    """The provider never bills more than the cap; what a killed process held counts as spent."""
    async with opened(postgres_url, per_s=1000.0, cap_usd=1.0) as shop:
        for name in "abc":
            await shop.start(name, concurrency=6)
        await shop.provider.until_waiting("a")
        shop.workers[0].kill()
        for worker in shop.workers[1:]:
            assert await asyncio.wait_for(worker.wait(), 60) == 0
        async with shop.ledger.read() as conn:
            budget = await spending.budget(conn, JOB)
        assert budget is not None
        assert 0.02 <= budget.held_usd <= 0.12  # the killed one's, at the worst case
        assert 0.8 <= budget.spent_usd + budget.held_usd <= 1.0
        assert COST_USD * len(shop.provider.served) <= budget.spent_usd + budget.held_usd
