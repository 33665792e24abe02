"""Commands about jobs: what is refused and why, and what a repetition does."""

import pytest
from labelbus_contracts.ids import JobId
from labelbus_contracts.jobs import Selection, StepSpec
from labelbus_contracts.v1 import commands, events
from labelbus_contracts.v1.message import message_id
from labelbus_dispatcher.commands import JobCommands
from labelbus_dispatcher.testing import LABELERS, action, submit_job
from labelbus_ledger import job_rows, sample_rows
from labelbus_ledger.engine import Ledger

JOB = JobId("job")
WRONG = StepSpec(labeler="one", parameters={"treshold": 0.5})


@pytest.fixture
def handler(ledger: Ledger) -> JobCommands:
    """A handler that wakes nobody."""
    return JobCommands(ledger, carrier_id="test", labelers=LABELERS, wake=lambda: None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"action": action("ome")}, "ome"),
        ({"action": action("one", steps=[WRONG])}, "threshold"),
        ({"selection": Selection(ids=())}, "empty"),
        ({"selection": Selection(), "source_job_id": "none"}, "none"),
    ],
)
async def test_a_job_that_cannot_start_says_why(
    handler: JobCommands, changes: dict[str, object], reason: str
) -> None:
    """It is rejected with its reason, again and again alike."""
    submit = submit_job(**changes)
    (rejected,) = await handler.handle(submit)
    assert isinstance(rejected, events.JobRejected)
    assert reason in rejected.reason
    assert tuple(await handler.handle(submit)) == (rejected,)


async def test_ids_that_come_twice_join_once(handler: JobCommands, ledger: Ledger) -> None:
    """A redelivered `AddSamples` adds nothing, and the last one closes the selection."""
    add = commands.AddSamples(id=message_id("a"), job_id=JOB, ids=(3, 4, 5), last=True)
    for command in (submit_job(selection=Selection(ids=(1, 2, 3), more_follow=True)), add, add):
        assert not await handler.handle(command)
    async with ledger.read() as conn:
        head = await job_rows.job_head(conn, JOB)
        assert head is not None
        assert (head.total, head.selected) == (5, True)
        assert await sample_rows.counts(conn, JOB) == {"pending": 5}


async def test_a_cancel_before_its_job_leaves_a_tombstone(handler: JobCommands, ledger: Ledger) -> None:
    """The job is cancelled when it comes, and never starts."""
    await handler.handle(commands.CancelJob(id=message_id("c"), job_id=JOB))
    (finished,) = await handler.handle(submit_job())
    assert isinstance(finished, events.JobFinished)
    assert (finished.outcome, finished.project_id, finished.counts) == ("cancelled", 7, {})


async def test_a_command_about_no_job_is_answered(handler: JobCommands) -> None:
    """Nobody waits for a job that was never submitted."""
    (answer,) = await handler.handle(commands.PauseJob(id=message_id("p"), job_id=JOB))
    assert isinstance(answer, events.JobRejected)
