"""The refill, turn by turn: who gets the free slots, and when a row counts as sent."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from labelbus_contracts.ids import JobId
from labelbus_contracts.jobs import Selection
from labelbus_contracts.v1.commands import LabelSample
from labelbus_contracts.v1.message import Message
from labelbus_dispatcher.recipes import Recipes
from labelbus_dispatcher.refill import Refill
from labelbus_dispatcher.testing import QUICK, World, labeled, make_world, submit_job
from labelbus_ledger import job_rows, sample_rows
from labelbus_ledger.engine import Ledger
from labelbus_runtime.errors import Unavailable


@dataclass
class Stage:
    """A refill whose turns a test takes, and a carrier that may be away."""

    world: World
    away: bool = False
    reopens: bool = False
    tried: list[LabelSample] = field(default_factory=list)
    sent: list[LabelSample] = field(default_factory=list)
    states: list[dict[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the refill."""
        self.refill = Refill(
            self.world.ledger,
            self.world.reader,
            self.publish,
            carrier_id="test",
            recipes=Recipes(),
            settings=QUICK,
        )

    async def job(self, name: str, size: int, *, weight: int = 1) -> None:
        """Submit a job and bring its samples."""
        submit = submit_job(
            job_id=name, id=name, weight=weight, selection=Selection(ids=tuple(range(1, size + 1)))
        )
        await self.world.dispatcher.commands.handle(submit)
        async with self.world.ledger.read() as conn:
            head = await job_rows.job_head(conn, JobId(name))
        assert head is not None
        await self.world.dispatcher.selector.select(head)

    async def publish(self, messages: Sequence[Message]) -> None:
        """Take the commands, unless away; note how the rows stand meanwhile."""
        mine = [one for one in messages if isinstance(one, LabelSample)]
        self.tried += mine
        self.states.append(await self.counts("big"))
        if self.reopens:
            async with self.world.ledger.write() as conn:
                head = await job_rows.job_head(conn, JobId("big"), lock=True)
                assert head is not None
                await job_rows.change_job(conn, head, run=head.run + 1)
        if self.away:
            raise Unavailable("The broker is away.")
        self.sent += mine

    async def turn(self) -> Counter[str]:
        """Take a turn; count what each job was sent in it."""
        before = len(self.sent)
        await self.refill.turn()
        return Counter(str(one.job_id) for one in self.sent[before:])

    async def counts(self, name: str) -> dict[str, int]:
        """Count a job's rows by state."""
        async with self.world.ledger.read() as conn:
            return await sample_rows.counts(conn, JobId(name))


@pytest.fixture
def stage(ledger: Ledger) -> Stage:
    """Give a stage on which nothing runs by itself; 16 samples of a labeler are in flight at most."""
    return Stage(make_world(ledger))


async def test_a_row_is_marked_once_the_carrier_has_taken_it(stage: Stage) -> None:
    """A crash between the two repeats a chunk and loses none."""
    await stage.job("big", 3)
    await stage.turn()
    assert stage.states == [{"pending": 3}]
    assert await stage.counts("big") == {"labeling": 3}


async def test_what_the_carrier_did_not_take_is_sent_again(stage: Stage) -> None:
    """By the same ids, so that whoever has both sees one."""
    await stage.job("big", 3)
    stage.away = True
    await stage.turn()
    assert await stage.counts("big") == {"pending": 3}
    stage.away = False
    assert await stage.turn() == {"big": 3}
    assert [one.id for one in stage.tried[:3]] == [one.id for one in stage.sent]


async def test_what_is_of_an_earlier_run_does_not_count_as_sent(stage: Stage) -> None:
    """Its failures are nobody's: a job reopened while a chunk was read would wait for a deadline."""
    await stage.job("big", 3)
    stage.reopens = True
    await stage.turn()
    assert await stage.counts("big") == {"pending": 3}
    stage.reopens = False
    assert await stage.turn() == {"big": 3}
    assert {one.run for one in stage.sent[3:]} == {2}


async def test_free_slots_go_to_the_job_least_served(stage: Stage) -> None:
    """What a job has in flight counts, and what it is given in this turn."""
    await stage.job("big", 100)
    assert await stage.turn() == {"big": 16}
    await stage.job("small", 20)
    for command in stage.sent[:8]:
        await stage.world.dispatcher.events.handle(labeled(command))
    assert await stage.turn() == {"small": 8}
    for command in stage.sent[8:12]:
        await stage.world.dispatcher.events.handle(labeled(command))
    assert await stage.turn() == {"big": 4}


async def test_slots_are_shared_by_weight(stage: Stage) -> None:
    """Weight 3 beside weight 1: three quarters."""
    await stage.job("big", 100, weight=1)
    await stage.job("heavy", 100, weight=3)
    assert await stage.turn() == {"big": 4, "heavy": 12}
