"""What a job may spend, and waiting for a provider's limits."""

import pytest
from labelbus_contracts.ids import JobId, ProjectId, SampleId
from labelbus_contracts.v1 import commands
from labelbus_contracts.v1.message import message_id
from labelbus_dispatcher.commands import JobCommands
from labelbus_dispatcher.decide import Job, Limits, decide, outgoing
from labelbus_dispatcher.handler import with_way_on
from labelbus_dispatcher.testing import LABELERS, action, failed, submit_job
from labelbus_ledger import spending
from labelbus_ledger.engine import Ledger
from labelbus_ledger.job_rows import JobHead, fingerprint
from labelbus_ledger.sample_rows import SampleRow

JOB = JobId("job")
HEAD = JobHead(
    job_id=JOB, project_id=ProjectId(7), carrier="test", mode="apply", weight=1, state="running",
    desired_state="run", reason="", run=1, selected=True, cursor="{}", total=1, failures=0, changed_at=0.0,
    finish_sent_at=None,
)  # fmt: skip


@pytest.fixture
def handler(ledger: Ledger) -> JobCommands:
    """A handler that wakes nobody."""
    return JobCommands(ledger, carrier_id="test", labelers=LABELERS, wake=lambda: None)


async def cap_of(ledger: Ledger) -> float | None:
    """Return the job's cap."""
    async with ledger.read() as conn:
        budget = await spending.budget(conn, JOB)
    assert budget is not None
    return budget.cap_usd


@pytest.mark.parametrize(
    ("of_job", "of_action", "cap_usd"),
    [(None, None, None), (None, 2.0, 2.0), (0.5, 2.0, 0.5), (0.0, 2.0, 0.0)],
)
async def test_budget_at_submit(
    handler: JobCommands, ledger: Ledger, of_job: float | None, of_action: float | None, cap_usd: float | None
) -> None:
    """The job's own budget comes before its action's."""
    await handler.handle(submit_job(action=action("one", budget_usd=of_action), budget_usd=of_job))
    assert await cap_of(ledger) == cap_usd


async def test_resume_raises_the_budget(handler: JobCommands, ledger: Ledger) -> None:
    """Resuming with a budget replaces it, also while the job runs; a repeated submit does not."""
    submit = submit_job(budget_usd=1.0)
    resume = commands.ResumeJob(id=message_id("r"), job_id=JOB, budget_usd=3.0)
    for command in (submit, resume, submit, commands.ResumeJob(id=message_id("r2"), job_id=JOB)):
        await handler.handle(command)
    assert await cap_of(ledger) == 3.0


def test_budget_is_no_other_wish() -> None:
    """A job with another budget is the same work, to be gone on with."""
    plain, rich = submit_job(), submit_job(action=action("one", budget_usd=9.0), budget_usd=5.0)
    assert fingerprint(plain) == fingerprint(rich)


def test_limits_are_waited_out() -> None:
    """Waiting for a provider's limits counts as no attempt, for a day."""
    job = Job(HEAD, submit_job())
    row = SampleRow(JOB, SampleId(1), 0, "labeling", first_sent_at=1000.0)
    command = outgoing(row, job)
    assert isinstance(command, commands.LabelSample)
    event = failed(command, code="rate", retry_after_s=40.0)
    waiting = decide(row, job, event, now=1010.0, limits=Limits()).row
    assert (waiting.state, waiting.tries, waiting.due_at) == ("pending", 0, 1050.0)
    assert decide(row, job, event, now=91_000.0, limits=Limits()).row.tries == 1


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("The key is refused.", "The key is refused. Mend it, then run `labelbus jobs resume job-1`."),
        ("Add credit. Then resume the job.", "Add credit. Then run `labelbus jobs resume job-1`."),
        ("Raise it: `labelbus jobs resume job-1 --budget USD`.",) * 2,
    ],
)
def test_a_pause_says_once_how_to_go_on(reason: str, said: str) -> None:
    """The command stands in the reason, in full, and one time."""
    assert with_way_on(reason, JobId("job-1")) == said
