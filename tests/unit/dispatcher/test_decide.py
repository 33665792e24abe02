"""What becomes of a sample, under any order and any repetition of events."""

import random
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelbus_contracts.ids import JobId, ProjectId, SampleId
from labelbus_contracts.jobs import Condition
from labelbus_contracts.labels import BoundingBox, ClassLabel, LabelSet
from labelbus_contracts.v1 import commands, events
from labelbus_contracts.v1.message import Message
from labelbus_dispatcher.decide import Job, Limits, decide, holds, outgoing, overdue
from labelbus_dispatcher.testing import action, answer, failed, labeled, submit_job, written
from labelbus_ledger.job_rows import JobHead
from labelbus_ledger.sample_rows import SampleRow
from labelbus_ledger.tables import ENDED_STATES

LIMITS = Limits()
ROW = SampleRow(job_id=JobId("job"), sample_id=SampleId(1), position=0, state="pending")
HEAD = JobHead(
    job_id=JobId("job"), project_id=ProjectId(7), carrier="test", mode="apply", weight=1, state="running",
    desired_state="run", reason="", run=1, selected=True, cursor="{}", total=1, failures=0, changed_at=0.0,
    finish_sent_at=None,
)  # fmt: skip


def job(*labelers: str, steps: object = None, **changes: object) -> Job:
    """Return a running job."""
    more = {} if steps is None else {"steps": steps}
    return Job(HEAD, submit_job(action=action(*(labelers or ("one",)), **more), **changes))


def label_command(row: SampleRow = ROW, of: Job | None = None) -> commands.LabelSample:
    """Return what a row is sent as."""
    made = outgoing(row, of or job())
    assert isinstance(made, commands.LabelSample)
    return made


@dataclass
class Network:
    """Delivers a sample's messages in any order, repeats some, and lets deadlines pass.

    The peers are fixed functions of a command, so the end must be the same however chance delivers.
    """

    job: Job
    failing: frozenset[tuple[int, int]]
    permanent_at: int | None
    chance: random.Random
    row: SampleRow = ROW
    now: float = 0.0
    waiting: list[events.SampleEvent] = field(default_factory=list)
    delivered: list[events.SampleEvent] = field(default_factory=list)
    written: Counter[str] = field(default_factory=Counter)
    branches_got: list[set[str]] = field(default_factory=list)

    def run(self) -> SampleRow:
        """Turn until the row has ended."""
        for _ in range(2_000):
            if self.row.state in ENDED_STATES:
                return self.row
            self.turn()
        raise AssertionError(f"no end: {self.row}")

    def turn(self) -> None:
        """Do one thing that may happen next."""
        self.now += 1.0
        if self.row.state == "pending" and self.row.due_at <= self.now and self.chance.random() < 0.5:
            self.refill()
        elif self.waiting and self.chance.random() < 0.7:
            place = self.chance.randrange(len(self.waiting))
            event = self.waiting[place] if self.chance.random() < 0.3 else self.waiting.pop(place)
            self.deliver(event)
        elif self.delivered and self.chance.random() < 0.5:
            self.deliver(self.chance.choice(self.delivered))
        elif self.row.deadline_at is not None and not self.waiting:
            self.now = max(self.now, self.row.deadline_at)
            self.row = overdue(self.row, counts=False, now=self.now, limits=LIMITS)
        else:
            self.now += 400.0

    def refill(self) -> None:
        """Publish, and perhaps crash before marking."""
        command = outgoing(self.row, self.job)
        self.answer(command)
        if self.chance.random() < 0.8:
            state = "writing" if self.row.step == self.job.last_step else "labeling"
            self.row = replace(self.row, state=state, labeler="x", deadline_at=self.now + 900)  # type: ignore[arg-type]

    def deliver(self, event: events.SampleEvent) -> None:
        """Handle an event, perhaps crash before publishing, then handle it again."""
        self.delivered.append(event)
        made = decide(self.row, self.job, event, now=self.now, limits=LIMITS)
        self.row = made.row
        if self.chance.random() < 0.2:
            made = decide(self.row, self.job, event, now=self.now, limits=LIMITS)
            self.row = made.row
        for message in made.messages:
            self.answer(message)

    def answer(self, message: Message) -> None:
        """Be every peer."""
        if isinstance(message, commands.WriteSample):
            self.written[str(message.draft.label)] += 1
            self.waiting.append(written(message))
        elif isinstance(message, commands.LabelSample):
            if self.job.submit.action.places[message.step].spec.branches:
                given = message.draft.label if message.draft else None
                self.branches_got.append({given.label if given else ""})
            if message.step == self.permanent_at:
                self.waiting.append(failed(message, permanent=True))
            elif (message.step, message.attempt) in self.failing:
                self.waiting.append(failed(message))
            else:
                self.waiting.append(labeled(message, label=f"step {message.step}"))


BRANCHED = (
    {"labeler": "zero"},
    {"labeler": "merge", "branches": [{"labeler": "one"}, {"labeler": "two"}, {"labeler": "three"}]},
    {"labeler": "last", "when": {"labels": ["step 1"]}},
)


@settings(max_examples=150, deadline=None)
@given(
    failing=st.frozensets(st.tuples(st.integers(0, 4), st.integers(1, 3)), max_size=5),
    permanent_at=st.sampled_from([None, None, 2, 3]),
    seed=st.integers(0, 2**32),
)
def test_branches_gather_under_any_order_and_any_repetition(
    failing: frozenset[tuple[int, int]], permanent_at: int | None, seed: int
) -> None:
    """Each branch counts once, however often it answers; the merged draft goes on to the next step."""
    branched = job(steps=BRANCHED)
    network = Network(branched, failing, permanent_at, random.Random(seed))
    end = network.run()
    assert end.state == ("failed" if permanent_at is not None else "committed")
    assert (end.draft, end.gathered) == (None, None)
    assert all(given <= {"", "step 0"} for given in network.branches_got)
    if permanent_at is None:
        assert set(network.written) == {str(ClassLabel(label="step 4", score=0.9))}


FAILING = st.frozensets(st.tuples(st.integers(0, 1), st.integers(1, 3)), max_size=4)


@settings(max_examples=200, deadline=None)
@given(failing=FAILING, permanent_at=st.sampled_from([None, 0, 1]), seed=st.integers(0, 2**32))
def test_any_order_and_any_repetition_lead_to_the_same_end(
    failing: frozenset[tuple[int, int]], permanent_at: int | None, seed: int
) -> None:
    """Passing failures, crashes and duplicates change nothing; only a lasting failure does."""
    network = Network(job("one", "two"), failing, permanent_at, random.Random(seed))
    end = network.run()
    assert end.state == ("failed" if permanent_at is not None else "committed")
    assert (end.base, end.draft, end.labeler, end.deadline_at) == (None, None, None, None)
    expected = {str(ClassLabel(label="step 1", score=0.9))} if permanent_at is None else set()
    assert set(network.written) == expected


@settings(max_examples=50, deadline=None)
@given(repeats=st.integers(1, 4))
def test_a_repeated_event_implies_the_same_messages(repeats: int) -> None:
    """The write command of a labeled row comes again, with the same id."""
    event = labeled(label_command())
    first = decide(ROW, job(), event, now=1.0, limits=LIMITS)
    row = first.row
    for n in range(repeats):
        again = decide(row, job(), event, now=2.0 + n, limits=LIMITS)
        assert again.messages == first.messages
        row = again.row
    assert first.messages[0].id == "commit_sample:job:1:1:1:1"


def test_a_failure_of_an_old_attempt_is_ignored() -> None:
    """Only the current attempt's failure counts."""
    event = failed(label_command())
    row = replace(ROW, attempt=2)
    assert decide(row, job(), event, now=1.0, limits=LIMITS).row is row


def test_a_success_of_an_old_attempt_is_accepted() -> None:
    """A late draft is as good as any."""
    event = labeled(label_command())
    made = decide(replace(ROW, attempt=3, tries=2), job(), event, now=1.0, limits=LIMITS)
    assert made.row.state == "writing"
    assert made.row.tries == 0


def test_an_ended_row_never_changes() -> None:
    """Late events find the door closed."""
    row = replace(ROW, state="failed")
    for event in (labeled(label_command()), failed(label_command())):
        assert decide(row, job(), event, now=1.0, limits=LIMITS).row is row


def test_a_failed_attempt_waits_as_long_as_it_asks() -> None:
    """The later of backoff and `retry_after_s` counts."""
    made = decide(ROW, job(), failed(label_command(), retry_after_s=60), now=100.0, limits=LIMITS)
    assert (made.row.state, made.row.attempt, made.row.tries, made.row.due_at) == ("pending", 2, 1, 160.0)


@pytest.mark.parametrize("asked_s", [1e9, float("inf")])
def test_nobody_is_waited_for_longer_than_a_day(asked_s: float) -> None:
    """A Retry-After of years, as a broken gateway sends it, keeps no sample and no write for years."""
    made = decide(ROW, job(), failed(label_command(), retry_after_s=asked_s), now=100.0, limits=LIMITS)
    assert made.row.due_at == 86_500.0
    row = decide(ROW, job(), labeled(label_command()), now=1.0, limits=LIMITS).row
    deferred = answer(events.WriteDeferred, outgoing(row, job()), reason="no", retry_after_s=asked_s)
    assert decide(row, job(), deferred, now=100.0, limits=LIMITS).row.due_at == 86_500.0


def test_backoff_doubles_up_to_its_most() -> None:
    """Each try waits longer than the one before."""
    waits = []
    row, limits = ROW, Limits(attempts=20, backoff_most_s=10.0)
    for _ in range(5):
        row = decide(row, job(), failed(label_command(row)), now=0.0, limits=limits).row
        waits.append(row.due_at)
    assert waits == [2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_sample_in_processing_counts_no_attempt_but_ends_at_last() -> None:
    """Studio's processing is waited for, though not for ever."""
    row = replace(ROW, first_sent_at=0.0, tries=4)
    event = failed(label_command(row), code="processing")
    later = decide(row, job(), event, now=10.0, limits=LIMITS).row
    assert (later.state, later.tries, later.due_at) == ("pending", 4, 25.0)
    assert decide(row, job(), event, now=1801.0, limits=LIMITS).row.state == "failed"


@pytest.mark.parametrize(("code", "most_s"), [("starting", 1800.0), ("rate", 86_400.0)])
def test_what_a_provider_asks_to_wait_counts_no_attempt(code: str, most_s: float) -> None:
    """A model that is loaded, or a limit, is waited for; after long, attempts count like any others."""
    row = replace(ROW, first_sent_at=0.0, tries=4)
    event = failed(label_command(row), code=code)
    later = decide(row, job(), event, now=10.0, limits=LIMITS).row
    assert (later.state, later.tries, later.due_at) == ("pending", 4, 12.0)
    assert (later.code, later.reason) == (code, event.reason)
    assert decide(row, job(), event, now=most_s + 1, limits=LIMITS).row.state == "failed"


def test_a_job_scoped_failure_pauses_and_counts_nothing() -> None:
    """The whole job's fault is not the sample's."""
    made = decide(ROW, job(), failed(label_command(), "no key", scope="job"), now=1.0, limits=LIMITS)
    assert made.pause == "no key"
    assert (made.row.state, made.row.tries) == ("pending", 0)


def test_a_stopped_jobs_draft_is_kept_for_later() -> None:
    """A draft that arrives during a pause is stored and not written."""
    paused = replace(job(), head=replace(HEAD, state="paused", desired_state="pause"))
    made = decide(ROW, paused, labeled(label_command()), now=1.0, limits=LIMITS)
    assert (made.row.state, made.row.step, made.messages) == ("pending", 1, ())
    assert made.row.draft is not None


def test_a_skipped_sample_is_pending_again() -> None:
    """Skipping costs no try."""
    made = decide(
        ROW, job(), answer(events.SampleSkipped, label_command(), reason="x"), now=1.0, limits=LIMITS
    )
    assert (made.row.state, made.row.attempt, made.row.tries) == ("pending", 2, 0)


def test_held_without_another_job_waits_for_a_person() -> None:
    """A person's change is never computed over."""
    row = decide(ROW, job(), labeled(label_command()), now=1.0, limits=LIMITS).row
    event = answer(events.SampleHeld, outgoing(row, job()), reason="changed")
    assert decide(row, job(), event, now=2.0, limits=LIMITS).row.state == "held"


@pytest.mark.parametrize("kind", [events.SampleHeld, events.WriteRefused, events.WriteDeferred])
def test_an_old_attempts_write_that_failed_is_ignored(kind: type[events.SampleEvent]) -> None:
    """The write of the current attempt is still to be answered; the job does not pause either."""
    row = decide(ROW, job(), labeled(label_command()), now=1.0, limits=LIMITS).row
    more = {"retry_after_s": 1.0, "scope": "job"} if kind is events.WriteDeferred else {}
    event = answer(kind, outgoing(row, job()), reason="no", **more)
    later = replace(row, attempt=2)
    made = decide(later, job(), event, now=2.0, limits=LIMITS)
    assert (made.row, made.pause) == (later, None)


def test_applying_a_preview_never_computes() -> None:
    """Even another job's change holds a stored proposal."""
    applying = job(source_job_id="preview", selection={})
    row = decide(ROW, job(), labeled(label_command()), now=1.0, limits=LIMITS).row
    event = answer(events.SampleHeld, outgoing(row, applying), reason="changed", by_job="other")
    assert decide(row, applying, event, now=2.0, limits=LIMITS).row.state == "held"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition(labels=("dog",)), True),
        (Condition(labels=("bird",)), False),
        (Condition(labels=("dog",), max_score=0.5), True),
        (Condition(labels=("dog",), min_score=0.5), False),
        (Condition(labels=("cat",), min_score=0.1), False),
        (Condition(min_score=0.2, max_score=0.4), True),
    ],
)
def test_one_label_must_meet_all_that_a_condition_asks(condition: Condition, expected: bool) -> None:
    """Text and score are of the same label; a label without a score is in no bounds."""
    dog = BoundingBox(label="dog", x=0, y=0, width=1, height=1, score=0.3)
    cat = BoundingBox(label="cat", x=0, y=0, width=1, height=1)
    assert holds(condition, LabelSet(boxes=(dog, cat))) is expected


def branched() -> Job:
    """Return a job of one step with two branches."""
    return job(steps=[{"labeler": "merge", "branches": [{"labeler": "one"}, {"labeler": "two"}]}])


def test_every_branch_gets_the_draft_that_the_step_got() -> None:
    """The second branch is sent the base's labels too; both drafts make what is written, votes included."""
    first = label_command(of=branched())
    row = decide(ROW, branched(), labeled(first, label="cat"), now=1.0, limits=LIMITS).row
    second = label_command(row, branched())
    assert (second.step, second.labeler, second.draft) == (1, "two", None)
    made = decide(row, branched(), labeled(second, label="cat"), now=2.0, limits=LIMITS)
    (write,) = made.messages
    assert isinstance(write, commands.WriteSample)
    assert write.draft.label is not None
    assert [vote.source for vote in write.draft.label.votes] == ["one#0", "two#1"]
    assert made.row.gathered is None


def test_a_condition_leaves_all_branches_out() -> None:
    """A step with branches is entered whole or not at all."""
    steps = [
        {"labeler": "zero"},
        {"labeler": "merge", "when": {"labels": ["dog"]}, "branches": [{"labeler": "a"}, {"labeler": "b"}]},
    ]
    made = decide(ROW, job(steps=steps), labeled(label_command()), now=1.0, limits=LIMITS)
    assert (made.row.state, made.row.step) == ("writing", 3)


def test_a_draft_made_from_another_base_is_not_taken() -> None:
    """Labels that changed meanwhile are not written over by a late answer of an earlier attempt."""
    two = job("one", "two")
    row = decide(ROW, two, labeled(label_command(of=two)), now=1.0, limits=LIMITS).row
    late = labeled(label_command(row, two))
    other = late.base.model_copy(update={"labels": LabelSet(label=ClassLabel(label="a person's"))})
    late = late.model_copy(update={"base": other})
    assert decide(replace(row, attempt=2), two, late, now=2.0, limits=LIMITS).row.step == 1


@pytest.mark.parametrize(("studio_job_id", "state"), [(42, "writing"), (None, "proposed")])
def test_a_proposal_of_an_earlier_run_is_in_another_preview(studio_job_id: int | None, state: str) -> None:
    """What was staged in the preview of a block that is gone must be staged in the present one's."""
    of = job(mode="preview", studio_job_id=studio_job_id)
    waits = replace(ROW, state="writing", step=1, base="{}", draft="{}")
    late = events.SampleProposed(
        id="x", job_id=ROW.job_id, run=1, project_id=ProjectId(7), sample_id=ROW.sample_id
    )
    made = decide(waits, replace(of, head=replace(HEAD, run=2)), late, now=1.0, limits=LIMITS)
    assert made.row.state == state
