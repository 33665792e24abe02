"""Decide what becomes of a sample: its row, its job and an event in; the new row and messages out.

Pure. Messages follow from the row alone, so a repeated event implies the same ones, ids included.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from labelbus_contracts.ids import MessageId
from labelbus_contracts.jobs import Condition
from labelbus_contracts.labels import Base, LabelSet
from labelbus_contracts.v1 import commands, events
from labelbus_contracts.v1.message import Message, message_id
from labelbus_ledger.job_rows import JobHead
from labelbus_ledger.sample_rows import COMMITTER, SampleRow
from labelbus_ledger.tables import ENDED_STATES, SampleState
from pydantic import TypeAdapter

from labelbus_dispatcher.merge import merged

_DRAFTS: Final = TypeAdapter(list[LabelSet])
_MAX_REASON: Final = 2_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How often and how long. `attempts` are those of one step, the first included."""

    attempts: int = 5
    backoff_first_s: float = 2.0
    backoff_most_s: float = 300.0
    deadline_s: float = 900.0
    processing_s: float = 1800.0  # of samples by Studio; a model's start is waited for as long
    processing_wait_s: float = 15.0
    rate_s: float = 86_400.0  # a provider's limits are waited out, those of a day included
    longest_wait_s: float = 86_400.0  # whatever a Retry-After asks for
    stopped_wait_s: float = 2.0  # as long as workers may not know yet that a job goes on
    attempts_in_all: int = 50  # bounds jobs that compute a sample again because of each other


@dataclass(frozen=True, slots=True)
class Job:
    """A job's row, and its command without the ids."""

    head: JobHead
    submit: commands.SubmitJob

    @property
    def last_step(self) -> int:
        """Return the step of rows that are to be written: the number of places."""
        return len(self.submit.action.places)

    @property
    def computes_again(self) -> bool:
        """Tell whether a sample that another job changed is computed again rather than held."""
        return self.submit.mode == "apply" and self.submit.source_job_id is None


@dataclass(frozen=True, slots=True)
class Decision:
    """The row as it should be, what it implies, and why the whole job should pause, where it should."""

    row: SampleRow
    messages: tuple[Message, ...] = ()
    pause: str | None = None


def decide(row: SampleRow, job: Job, event: events.SampleEvent, *, now: float, limits: Limits) -> Decision:
    """Apply one event to its sample's row. An ended row never changes."""
    if row.state in ENDED_STATES:
        return Decision(row)
    match event:
        case events.SampleLabeled():
            return _labeled(row, job, event, now, limits)
        case events.VideoFound():
            return _video(row, job, event, now, limits)
        case events.SampleFailed() if _is_current(row, job, event):
            return _failed(row, event, now, limits)
        case events.SampleSkipped() if _is_current(row, job, event):
            return Decision(_again(row, now + limits.stopped_wait_s))
        case events.SampleProposed() if event.run == job.head.run or job.submit.studio_job_id is None:
            return Decision(_ended(row, "proposed", now))  # an earlier run's is in another job of Studio
        case events.SampleCommitted() | events.VideoSplit():
            return Decision(_ended(row, "committed", now))
        case events.SampleHeld() if _is_current(row, job, event):
            return Decision(_held(row, job, event, now, limits))
        case events.WriteRefused() if _is_current(row, job, event):
            return Decision(_ended(row, "failed", now, event.code, event.reason))
        case events.WriteDeferred() if _is_current(row, job, event):
            wait_s = min(event.retry_after_s, limits.longest_wait_s)
            later = _again(row, now + max(wait_s, limits.stopped_wait_s))
            return Decision(later, pause=event.reason if event.scope == "job" else None)
    return Decision(row)


def overdue(row: SampleRow, *, counts: bool, now: float, limits: Limits) -> SampleRow:
    """Take back a row that nobody answered in time; it `counts` where somebody was there to answer."""
    if row.deadline_at is None or row.deadline_at > now:
        return row
    if not counts:
        return _again(row, now)
    return _retried(row, now, limits, "no_answer", f"{row.labeler} did not answer in time.")


def advance(row: SampleRow, job: Job, draft: LabelSet, *, step: int, now: float, limits: Limits) -> SampleRow:
    """Store a draft and go to the first step from `step` on whose condition holds, or to the write."""
    step = next_step(job, draft, step)
    row = replace(
        row, state="pending", step=step, tries=0, draft=draft.model_dump_json(), due_at=0.0, labeler=None,
        deadline_at=None, code=None, reason=None,
    )  # fmt: skip
    if step < job.last_step or not job.head.runs:
        return row
    return replace(row, state="writing", labeler=COMMITTER, deadline_at=now + limits.deadline_s)


def next_step(job: Job, draft: LabelSet, step: int) -> int:
    """Return the first place from `step` on, where a step begins, whose condition the draft meets."""
    places = job.submit.action.places
    while step < len(places) and not holds(places[step].spec.when, draft):
        step = places[step].ends
    return step


def holds(condition: Condition | None, draft: LabelSet) -> bool:
    """Tell whether some label of the draft has a wanted text and a score in bounds.

    A label without a score, such as a person's, is in no bounds.
    """
    if condition is None:
        return True
    return any(
        (not condition.labels or label in condition.labels)
        and (condition.min_score is None or (score is not None and score >= condition.min_score))
        and (condition.max_score is None or (score is not None and score <= condition.max_score))
        for label, score in _scored(draft)
    )


def outgoing(
    row: SampleRow, job: Job, base: Base | None = None, draft: LabelSet | None = None
) -> commands.SampleCommand:
    """Return the command that an open row waits for.

    `base` was just read, where the row has none; given ones spare parsing what the row holds as text.
    """
    submit = job.submit
    if base is None and row.base:
        base = Base.model_validate_json(row.base)
    if draft is None and row.draft:
        draft = LabelSet.model_validate_json(row.draft)
    if row.step < job.last_step:
        work = submit.action.places[row.step].work
        return commands.LabelSample(
            id=_id("label_sample", row, job), job_id=row.job_id, run=job.head.run,
            project_id=submit.project_id, sample_id=row.sample_id, attempt=row.attempt, secret=submit.secret,
            studio_job_id=submit.studio_job_id, step=row.step, labeler=work.labeler,
            parameters=work.parameters, base=base, draft=draft if base else None,
        )  # fmt: skip
    if base is not None and row.split_fps is not None:
        return commands.SplitVideo(
            id=_id("split_video", row, job), job_id=row.job_id, run=job.head.run,
            project_id=submit.project_id, sample_id=row.sample_id, attempt=row.attempt, secret=submit.secret,
            studio_job_id=submit.studio_job_id, base=base, frames_per_second=row.split_fps,
            on_conflict=submit.on_conflict,
        )  # fmt: skip
    if base is None or draft is None:
        raise ValueError(f"sample {row.sample_id} of job {row.job_id} is to be written without a draft")
    kind = commands.CommitSample if submit.mode == "apply" else commands.ProposeSample
    name = "commit_sample" if submit.mode == "apply" else "propose_sample"
    write = kind(
        id=_id(name, row, job), job_id=row.job_id, run=job.head.run, project_id=submit.project_id,
        sample_id=row.sample_id, attempt=row.attempt, secret=submit.secret,
        studio_job_id=submit.studio_job_id, base=base, draft=draft, on_conflict=submit.on_conflict,
    )  # fmt: skip
    if submit.mode == "preview" or submit.conflict_check_after_s is None:
        return write
    return write.model_copy(update={"conflict_check_after_s": submit.conflict_check_after_s})


def too_large(row: SampleRow, reason: str, now: float) -> SampleRow:
    """End a row whose command no carrier takes."""
    return _ended(row, "failed", now, "too_large", reason)


def _labeled(row: SampleRow, job: Job, event: events.SampleLabeled, now: float, limits: Limits) -> Decision:
    if row.state != "writing" and event.step == row.step < job.last_step and _is_of_base(row, event):
        base = event.base if row.base is None or row.step == 0 else None
        row = row if base is None else replace(row, base=base.model_dump_json())
        place, draft = job.submit.action.places[row.step], event.draft
        if place.spec.branches:
            row, drafts = _gathered(row, event)
            if row.step + 1 < place.ends:
                return Decision(_next_branch(row))
            draft = merged(_given(row, event), drafts, place)
            row = replace(row, gathered=None)
        row = advance(row, job, draft, step=place.ends, now=now, limits=limits)
        return Decision(row, (outgoing(row, job, base, draft),) if row.state == "writing" else ())
    return Decision(row, (outgoing(row, job),) if row.state == "writing" else ())


def _video(row: SampleRow, job: Job, event: events.VideoFound, now: float, limits: Limits) -> Decision:
    """Let a video wait to be split, as its write. A preview writes nothing: it proposes it as it is."""
    if row.state != "writing" and event.step == row.step < job.last_step:
        row = replace(row, base=event.base.model_dump_json(), gathered=None)
        row = advance(row, job, event.base.labels, step=job.last_step, now=now, limits=limits)
        if job.submit.mode == "apply":
            row = replace(row, draft=None, split_fps=event.frames_per_second)
    return Decision(row, (outgoing(row, job),) if row.state == "writing" else ())


def _gathered(row: SampleRow, event: events.SampleLabeled) -> tuple[SampleRow, list[LabelSet]]:
    """Keep a branch's draft beside the one that all branches get."""
    drafts = [*_DRAFTS.validate_json(row.gathered or "[]"), event.draft]
    return replace(row, gathered=_DRAFTS.dump_json(drafts).decode()), drafts


def _next_branch(row: SampleRow) -> SampleRow:
    return replace(
        row, state="pending", step=row.step + 1, tries=0, due_at=0.0, labeler=None, deadline_at=None,
        code=None, reason=None,
    )  # fmt: skip


def _given(row: SampleRow, event: events.SampleLabeled) -> LabelSet:
    """Return the draft that all branches got."""
    return LabelSet.model_validate_json(row.draft) if row.draft else event.base.labels


def _is_of_base(row: SampleRow, event: events.SampleLabeled) -> bool:
    """Tell whether a draft was made from the row's base; a late one may be of a base read before."""
    if row.step == 0 or row.base is None or event.attempt == row.attempt:
        return True
    return event.base.model_dump_json() == row.base


def _failed(row: SampleRow, event: events.SampleFailed, now: float, limits: Limits) -> Decision:
    if event.base is not None and row.base is None:
        row = replace(row, base=event.base.model_dump_json())
    if event.permanent:
        return Decision(_ended(row, "failed", now, event.code, event.reason))
    if event.scope == "job":
        return Decision(_again(row, now), pause=event.reason)
    wait_s = min(event.retry_after_s or 0.0, limits.longest_wait_s)
    sent_s = 0.0 if row.first_sent_at is None else now - row.first_sent_at
    if event.code == "processing":
        if sent_s < limits.processing_s:
            return Decision(_waiting(row, event, now + max(wait_s, limits.processing_wait_s)))
        return Decision(_ended(row, "failed", now, event.code, event.reason))
    patience_s = {"rate": limits.rate_s, "starting": limits.processing_s}.get(event.code, 0.0)
    if sent_s < patience_s:
        return Decision(_waiting(row, event, now + max(wait_s, limits.stopped_wait_s)))
    return Decision(_retried(row, now, limits, event.code, event.reason, wait_s))


def _held(row: SampleRow, job: Job, event: events.SampleHeld, now: float, limits: Limits) -> SampleRow:
    if not (event.by_job and job.computes_again and row.attempt < limits.attempts_in_all):
        return _ended(row, "held", now, "held", event.reason)
    return replace(_again(row, now), step=0, tries=0, base=None, draft=None, gathered=None, split_fps=None)


def _retried(
    row: SampleRow, now: float, limits: Limits, code: str, reason: str, wait_s: float = 0.0
) -> SampleRow:
    tries = row.tries + 1
    if tries >= limits.attempts:
        return _ended(row, "failed", now, code, f"{reason} ({tries} attempts)")
    backoff_s = min(limits.backoff_first_s * 2 ** (tries - 1), limits.backoff_most_s)
    row = _again(row, now + max(wait_s, backoff_s))
    return replace(row, tries=tries, code=code, reason=reason[:_MAX_REASON])


def _waiting(row: SampleRow, event: events.SampleFailed, due_at: float) -> SampleRow:
    return replace(_again(row, due_at), code=event.code, reason=event.reason[:_MAX_REASON])


def _again(row: SampleRow, due_at: float) -> SampleRow:
    return replace(
        row, state="pending", attempt=row.attempt + 1, labeler=None, deadline_at=None, due_at=due_at
    )


def _ended(
    row: SampleRow, state: SampleState, now: float, code: str | None = None, reason: str | None = None
) -> SampleRow:
    return replace(
        row, state=state, labeler=None, deadline_at=None, due_at=0.0, base=None, draft=None, gathered=None,
        split_fps=None, code=code, reason=reason[:_MAX_REASON] if reason else None, ended_at=now,
    )  # fmt: skip


def _is_current(row: SampleRow, job: Job, event: events.SampleEvent) -> bool:
    step = event.step if isinstance(event, events.LabelEvent) else job.last_step
    return (event.run, step, event.attempt) == (job.head.run, row.step, row.attempt)


def _scored(draft: LabelSet) -> Iterator[tuple[str, float | None]]:
    for box in draft.boxes:
        yield box.label, box.score
    for time_range in draft.ranges:
        yield time_range.label, time_range.score
    if draft.label is not None and draft.label.label:
        yield draft.label.label, draft.label.score


def _id(kind: str, row: SampleRow, job: Job) -> MessageId:
    return message_id(kind, row.job_id, job.head.run, row.sample_id, row.step, row.attempt)
