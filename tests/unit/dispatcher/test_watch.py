"""The watch over jobs, at times that a test sets."""

from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from labelbus_contracts.ids import JobId
from labelbus_contracts.jobs import FailureLimit, Selection
from labelbus_contracts.v1.commands import CommitSample, FinishJob, LabelSample
from labelbus_contracts.v1.message import Message
from labelbus_dispatcher.recipes import Recipes
from labelbus_dispatcher.refill import Refill
from labelbus_dispatcher.selection import Publish
from labelbus_dispatcher.testing import QUICK, World, labeled, make_world, submit_job, written
from labelbus_dispatcher.watch import Watch
from labelbus_ledger import job_rows
from labelbus_ledger.engine import Ledger
from labelbus_ledger.job_rows import JobHead
from labelbus_ledger.tables import samples

JOB = JobId("job")


async def head_of(world: World) -> JobHead:
    """Return the job's row."""
    async with world.ledger.read() as conn:
        head = await job_rows.job_head(conn, JOB)
    assert head is not None
    return head


def watch_over(ledger: Ledger, publish: Publish, now: list[float]) -> Watch:
    """Return a watch whose clock says what `now` holds."""
    return Watch(
        ledger,
        publish,
        recipes=Recipes(),
        limits=QUICK.limits,
        finish_again_s=30.0,
        answers=lambda _: True,
        clock=lambda: now[0],
    )


async def one_committed(world: World, sent: list[Message]) -> None:
    """Bring a job of one sample to where only its end is missing."""

    async def publish(messages: Sequence[Message]) -> None:
        sent.extend(messages)

    dispatcher = world.dispatcher
    await dispatcher.commands.handle(submit_job(selection=Selection(ids=(1,))))
    await dispatcher.selector.select(await head_of(world))
    refill = Refill(world.ledger, world.reader, publish, carrier_id="test", recipes=Recipes(), settings=QUICK)
    await refill.turn()
    (command,) = sent
    assert isinstance(command, LabelSample)
    (write,) = await dispatcher.events.handle(labeled(command))
    assert isinstance(write, CommitSample)
    await dispatcher.events.handle(written(write))


async def test_the_end_is_asked_for_until_it_is_answered(ledger: Ledger) -> None:
    """`FinishJob` goes out once, and again when nobody answered for `finish_again_s`."""
    world, now, sent = make_world(ledger), [1000.0], list[Message]()
    await one_committed(world, sent)
    asked: list[FinishJob] = []

    async def publish(messages: Sequence[Message]) -> None:
        asked.extend(one for one in messages if isinstance(one, FinishJob))

    watch = watch_over(ledger, publish, now)
    for at, times in ((1000.0, 1), (1029.0, 1), (1031.0, 2)):
        now[0] = at
        await watch.close([await head_of(world)])
        assert len(asked) == times
    assert len({one.id for one in asked}) == 1


@pytest.mark.parametrize(
    ("failed", "committed", "state"), [(1, 0, "selecting"), (2, 2, "paused"), (2, 3, "selecting")]
)
async def test_a_job_pauses_at_its_share_of_failures(
    ledger: Ledger, failed: int, committed: int, state: str
) -> None:
    """Two of four are half of what has ended, two of five are less, and one is below the count."""
    world, said = make_world(ledger), list[Message]()
    limit = FailureLimit(count=2, share=0.5)
    await world.dispatcher.commands.handle(
        submit_job(selection=Selection(ids=tuple(range(10))), failure_limit=limit)
    )
    async with ledger.write() as conn:
        for name, ids in (("failed", range(failed)), ("committed", range(failed, failed + committed))):
            of_job = (samples.c.job_id == JOB, samples.c.sample_id.in_(ids))
            await conn.execute(sa.update(samples).where(*of_job).values(state=name))
        await job_rows.add_failures(conn, {JOB: failed})

    async def publish(messages: Sequence[Message]) -> None:
        said.extend(messages)

    await watch_over(ledger, publish, [1000.0]).pause_failing(await head_of(world))
    head = await head_of(world)
    assert (head.state, len(said)) == (state, int(state == "paused"))
    assert head.reason.startswith("2 of 4 samples failed" if state == "paused" else "")
