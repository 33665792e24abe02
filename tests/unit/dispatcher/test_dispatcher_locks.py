"""Commands and events of one job at the same moment, on PostgreSQL, which locks rows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa
from labelbus_contracts.ids import JobId
from labelbus_contracts.v1 import events
from labelbus_dispatcher.testing import World, failed
from labelbus_ledger import job_rows, job_samples, sample_rows
from labelbus_ledger.engine import Ledger
from labelbus_ledger.job_rows import JobHead
from labelbus_runtime.testing import run_until
from sqlalchemy.ext.asyncio import AsyncConnection

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.parametrize("ledger", ["postgresql"], indirect=True),
]
JOB = JobId("job")
_WAITING = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def test_an_event_that_waits_for_a_command_keeps_it_from_no_sample(world: World) -> None:
    """Both lock the job first, so that neither is broken off as a deadlock's victim."""
    event = await in_flight(world, permanent=True)
    async with command_under_way(world.ledger, event, world) as (conn, head):
        await job_samples.take_back(conn, head.job_id)
        await job_rows.change_job(conn, head, state="paused", desired_state="pause")
    standing = await world.becomes("paused")
    assert (standing.head.failures, standing.counts) == (0, {"pending": 3})  # of an attempt that is over


async def test_a_pause_undoes_no_cancel_of_the_same_moment(world: World) -> None:
    """An event that would pause its job decides by the job as the command before it left it."""
    event = await in_flight(world, scope="job", reason="The key was revoked.")
    async with command_under_way(world.ledger, event, world) as (conn, head):
        await job_rows.change_job(conn, head, state="cancelling", desired_state="cancel")
    await world.becomes("cancelled")


async def in_flight(world: World, **more: object) -> events.SampleFailed:
    """Submit a job whose samples nobody answers; return the failure of its first one."""
    world.label = lambda command: None
    await world.submit()
    await run_until(lambda: len(world.labels_sent()) == 3)
    async with asyncio.timeout(20):
        while await counts(world) != {"labeling": 3}:  # noqa: ASYNC110 - the ledger tells nobody
            await asyncio.sleep(0.01)
    return failed(world.labels_sent()[0], **{"reason": "broken", **more})  # type: ignore[arg-type]  # fields


async def counts(world: World) -> dict[str, int]:
    """Return the job's samples by state."""
    async with world.ledger.read() as conn:
        return await sample_rows.counts(conn, JOB)


@asynccontextmanager
async def command_under_way(
    ledger: Ledger, event: events.SampleFailed, world: World
) -> AsyncIterator[tuple[AsyncConnection, JobHead]]:
    """Hold the job as a command does while the event comes; go on once the event waits."""
    async with asyncio.timeout(30), asyncio.TaskGroup() as group, ledger.write() as conn:
        head = await job_rows.job_head(conn, JOB, lock=True)
        assert head is not None
        group.create_task(_handled(world, event))
        while not await _somebody_waits(ledger):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
        yield conn, head


async def _handled(world: World, event: events.SampleFailed) -> None:
    await world.dispatcher.events.handle(event)


async def _somebody_waits(ledger: Ledger) -> bool:
    async with ledger.read() as conn:
        return bool((await conn.execute(_WAITING)).scalar())
