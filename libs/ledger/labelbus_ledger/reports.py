"""Answer what people ask of the ledger: jobs, progress, changes per label, failures. Reads only."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from labelbus_contracts.jobs import JobMode
from labelbus_contracts.labels import (
    Base,
    BoundingBox,
    ClassLabel,
    LabelSet,
    SampleFacts,
    TimeRange,
    changed_parts,
    painted,
)
from labelbus_contracts.v1.commands import SubmitJob
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger.tables import (
    ENDED_STATES,
    OPEN_STATES,
    JobState,
    commits,
    jobs,
    label_events,
    proposals,
    samples,
)

_PAGE = 500


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as its row says. Times are unix seconds."""

    job_id: str
    project_id: int
    carrier: str
    action_name: str
    mode: JobMode
    state: JobState
    desired_state: str
    reason: str
    run: int
    selected: bool
    total: int
    created_at: float
    started_at: float | None
    ended_at: float | None
    submit: SubmitJob

    @property
    def is_embedded(self) -> bool:
        """Whether one process runs it by itself, and no cluster."""
        return self.carrier.startswith("embedded:")


@dataclass(frozen=True, slots=True)
class Progress:
    """Samples of a job by state, and those of the open ones by step. `done` are ended, failed or not."""

    counts: dict[str, int] = field(default_factory=dict)
    open_by_step: dict[int, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Return all samples that joined so far."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """Return the ended samples."""
        return sum(self.counts.get(state, 0) for state in ENDED_STATES)

    @property
    def failed(self) -> int:
        """Return the failed samples."""
        return self.counts.get("failed", 0)

    @property
    def held(self) -> int:
        """Return the samples that wait for a person."""
        return self.counts.get("held", 0)

    @property
    def open(self) -> int:
        """Return the samples that have not ended."""
        return sum(self.counts.get(state, 0) for state in OPEN_STATES)


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Samples that ended for one reason. In `reason` the sample's own id is written `…`."""

    state: str
    code: str
    reason: str
    count: int
    examples: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """How many labels were added, removed, given another name at the same place, or kept."""

    added: int = 0
    removed: int = 0
    relabelled: int = 0
    kept: int = 0

    @property
    def size(self) -> int:
        """Return how many labels are not as before."""
        return self.added + self.removed + self.relabelled


@dataclass(frozen=True, slots=True)
class SampleChange:
    """A sample before and after. `written` tells a commit from a proposal."""

    sample_id: int
    facts: SampleFacts
    before: LabelSet
    after: LabelSet
    written: bool

    @property
    def difference(self) -> Difference:
        """Return what became of the labels."""
        return difference(self.before, self.after)


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """One label over all samples of a job. `mean_score` is of the labels that have one."""

    label: str
    before: int
    after: int
    added: int
    removed: int
    samples: int
    mean_score: float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What the job's labelers took in all."""

    seconds: float
    input_tokens: int
    output_tokens: int
    cost_usd: float


async def list_jobs(conn: AsyncConnection, *, prefix: str = "", limit: int = 100) -> tuple[JobRow, ...]:
    """Return jobs whose id starts with `prefix`, newest first."""
    query = sa.select(jobs).order_by(jobs.c.created_at.desc(), jobs.c.job_id).limit(limit)
    query = query.where(jobs.c.submit != "")  # but not a job that was cancelled before it came
    if prefix:
        query = query.where(jobs.c.job_id.startswith(prefix, autoescape=True))
    return tuple(_job(row) for row in (await conn.execute(query)).mappings())


async def find_job(conn: AsyncConnection, job_id: str) -> JobRow | None:
    """Return one job."""
    row = (
        (await conn.execute(sa.select(jobs).where(jobs.c.job_id == job_id, jobs.c.submit != "")))
        .mappings()
        .first()
    )
    return _job(row) if row else None


async def progress(conn: AsyncConnection, job_id: str) -> Progress:
    """Count the samples of a job."""
    query = (
        sa.select(samples.c.state, samples.c.step, sa.func.count())
        .where(samples.c.job_id == job_id)
        .group_by(samples.c.state, samples.c.step)
    )
    counts: Counter[str] = Counter()
    steps: Counter[int] = Counter()
    for state, step, number in await conn.execute(query):
        counts[state] += number
        if state in OPEN_STATES:
            steps[step] += number
    return Progress(dict(counts), dict(steps))


async def failures(conn: AsyncConnection, job_id: str, *, examples: int = 5) -> tuple[FailureGroup, ...]:
    """Group failed and held samples by reason, the most frequent first."""
    query = (
        sa.select(samples.c.sample_id, samples.c.state, samples.c.code, samples.c.reason)
        .where(samples.c.job_id == job_id, samples.c.state.in_(("failed", "held")))
        .order_by(samples.c.sample_id)
    )
    groups: dict[tuple[str, str, str], tuple[int, list[int]]] = {}
    for sample_id, state, code, reason in await conn.execute(query):
        key = (state, code or "", re.sub(rf"(?i)\b(sample) {sample_id}\b", r"\1 …", reason or ""))
        number, ids = groups.get(key, (0, []))
        groups[key] = (number + 1, [*ids, sample_id] if len(ids) < examples else ids)
    ordered = sorted(groups.items(), key=lambda item: (-item[1][0], item[0]))
    return tuple(FailureGroup(*key, number, tuple(ids)) for key, (number, ids) in ordered)


async def changes(conn: AsyncConnection, job_id: str) -> AsyncIterator[SampleChange]:
    """Yield every proposed or committed sample of a job, by id, in pages.

    A commit counts before a proposal of the same sample; its `before` is what the write found.
    """
    async for row in _pages(conn, commits, job_id, "base", "found", "target"):
        facts = Base.model_validate_json(row["base"]).sample
        before, after = (LabelSet.model_validate_json(row[name]) for name in ("found", "target"))
        yield SampleChange(row["sample_id"], facts, before, after, written=True)
    committed = sa.exists().where(
        commits.c.job_id == proposals.c.job_id, commits.c.sample_id == proposals.c.sample_id
    )
    async for row in _pages(conn, proposals, job_id, "base", "draft", where=~committed):
        base = Base.model_validate_json(row["base"])
        after = LabelSet.model_validate_json(row["draft"])
        yield SampleChange(row["sample_id"], base.sample, base.labels, after, written=False)


async def label_summary(conn: AsyncConnection, job_id: str) -> tuple[LabelSummary, ...]:
    """Count every label before and after, over all samples of a job, the most frequent first."""
    return (await label_tally(conn, job_id)).rows()


async def label_tally(conn: AsyncConnection, job_id: str) -> "LabelTally":
    """Add up the changes of all samples of a job."""
    tally = LabelTally()
    async for change in changes(conn, job_id):
        tally.add(change)
    return tally


async def videos_left_whole(conn: AsyncConnection, job_id: str) -> tuple[int, ...]:
    """Return the videos that a preview came upon and did not split, by id; none for a job that applies."""
    query = (
        sa.select(label_events.c.sample_id)
        .join(jobs, jobs.c.job_id == label_events.c.job_id)
        .where(label_events.c.job_id == job_id, label_events.c.kind == "video_found")
        .where(jobs.c.mode == "preview")
        .distinct()
        .order_by(label_events.c.sample_id)
    )
    return tuple((await conn.execute(query)).scalars())


async def cost(conn: AsyncConnection, job_id: str) -> Cost:
    """Add up what the job's labelers took, repeated attempts included."""
    sums = [
        sa.func.coalesce(sa.func.sum(column), 0)
        for column in (
            label_events.c.seconds,
            label_events.c.input_tokens,
            label_events.c.output_tokens,
            label_events.c.cost_usd,
        )
    ]
    row = (await conn.execute(sa.select(*sums).where(label_events.c.job_id == job_id))).one()
    return Cost(float(row[0]), int(row[1]), int(row[2]), float(row[3]))


async def cost_of_samples(conn: AsyncConnection, job_id: str) -> dict[int, Cost]:
    """Add up what each sample of the job took, repeated attempts included."""
    numbers = (
        label_events.c.seconds,
        label_events.c.input_tokens,
        label_events.c.output_tokens,
        label_events.c.cost_usd,
    )
    query = (
        sa.select(label_events.c.sample_id, *(sa.func.sum(number) for number in numbers))
        .where(label_events.c.job_id == job_id)
        .group_by(label_events.c.sample_id)
    )
    rows = await conn.execute(query)
    return {row[0]: Cost(float(row[1]), int(row[2]), int(row[3]), float(row[4])) for row in rows}


class LabelTally:
    """Adds up changes per label; holds one small entry per label, whatever the number of samples."""

    def __init__(self) -> None:
        self._before: Counter[str] = Counter()
        self._after: Counter[str] = Counter()
        self._added: Counter[str] = Counter()
        self._removed: Counter[str] = Counter()
        self._samples: Counter[str] = Counter()
        self._scores: dict[str, tuple[int, float]] = {}
        self.total = Difference()
        self.samples_changed = 0
        self.samples_disabled = 0

    def add(self, change: SampleChange) -> None:
        """Count one sample."""
        before, after = _names(change.before), _names(change.after)
        self._before.update(before)
        self._after.update(after)
        old, new = _things(change.before), _things(change.after)
        self._added.update(label for _, label in (new - old).elements())
        self._removed.update(label for _, label in (old - new).elements())
        self._samples.update(set(after))
        for label, score in _scores(change.after):
            number, total = self._scores.get(label, (0, 0.0))
            self._scores[label] = (number + 1, total + score)
        one, all_ = change.difference, self.total
        self.total = Difference(
            all_.added + one.added,
            all_.removed + one.removed,
            all_.relabelled + one.relabelled,
            all_.kept + one.kept,
        )
        self.samples_changed += bool(changed_parts(change.before, change.after))
        self.samples_disabled += change.after.disabled and not change.before.disabled

    def rows(self) -> tuple[LabelSummary, ...]:
        """Return one row per label, the most frequent first."""
        labels = sorted({*self._before, *self._after}, key=lambda one: (-self._after[one], one))
        return tuple(self._row(label) for label in labels)

    def _row(self, label: str) -> LabelSummary:
        number, total = self._scores.get(label, (0, 0.0))
        return LabelSummary(
            label=label,
            before=self._before[label],
            after=self._after[label],
            added=self._added[label],
            removed=self._removed[label],
            samples=self._samples[label],
            mean_score=total / number if number else None,
        )


def difference(before: LabelSet, after: LabelSet) -> Difference:
    """Compare two label sets by content. Ranges are compared as Studio paints them."""
    old, new = _things(before), _things(after)
    removed, added = old - new, new - old
    relabelled = (Counter(_places(removed)) & Counter(_places(added))).total()
    return Difference(
        added=added.total() - relabelled,
        removed=removed.total() - relabelled,
        relabelled=relabelled,
        kept=(old & new).total(),
    )


def _things(labels: LabelSet) -> Counter[tuple[tuple[object, ...], str]]:
    """Return (place, label) of everything said of a sample."""
    things: Counter[tuple[tuple[object, ...], str]] = Counter()
    if labels.label and labels.label.label:
        things[(("class",), labels.label.label)] += 1
    things.update((("box", b.x, b.y, b.width, b.height), b.label) for b in labels.boxes)
    things.update((("range", start, end), label) for start, end, label, _ in painted(labels.ranges))
    return things


def _places(things: Counter[tuple[tuple[object, ...], str]]) -> list[tuple[object, ...]]:
    return [place for place, _ in things.elements()]


def _names(labels: LabelSet) -> list[str]:
    return [label for _, label in _things(labels).elements()]


def _scores(labels: LabelSet) -> list[tuple[str, float]]:
    scored: list[ClassLabel | BoundingBox | TimeRange] = [*labels.boxes, *labels.ranges]
    if labels.label:
        scored.append(labels.label)
    return [(one.label, one.score) for one in scored if one.score is not None]


async def _pages(
    conn: AsyncConnection,
    table: sa.Table,
    job_id: str,
    *columns: str,
    where: sa.ColumnElement[bool] | None = None,
) -> AsyncIterator[dict[str, Any]]:
    last = -1
    while True:
        query = (
            sa.select(table.c.sample_id, *(table.c[name] for name in columns))
            .where(table.c.job_id == job_id, table.c.sample_id > last)
            .order_by(table.c.sample_id)
            .limit(_PAGE)
        )
        if where is not None:
            query = query.where(where)
        rows = (await conn.execute(query)).mappings().all()
        for row in rows:
            yield dict(row)
        if len(rows) < _PAGE:
            return
        last = rows[-1]["sample_id"]


def _job(row: sa.RowMapping) -> JobRow:
    return JobRow(
        job_id=row["job_id"],
        project_id=row["project_id"],
        carrier=row["carrier"],
        action_name=row["action_name"],
        mode=row["mode"],
        state=row["state"],
        desired_state=row["desired_state"],
        reason=row["reason"],
        run=row["run"],
        selected=bool(row["selected"]),
        total=row["total"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        submit=SubmitJob.model_validate_json(row["submit"]),
    )
