"""Answer what people ask of the ledger: jobs, progress, changes per label, failures. Reads only."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field, fields
from typing import Final, TypeAlias

import sqlalchemy as sa
from labelbus_contracts.jobs import JobMode
from labelbus_contracts.labels import Base, LabelSet, SampleFacts
from labelbus_contracts.v1.commands import SubmitJob
from pydantic_core import from_json
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
from labelbus_ledger.tallies import Difference, LabelTally, Said, difference, said, said_in

_PAGE: Final = 1000
_MOST_GROUPS: Final = 200


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job in a list: its row without the command that made it. Times are unix seconds."""

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

    @property
    def is_embedded(self) -> bool:
        """Whether one process runs it by itself, and no cluster."""
        return self.carrier.startswith("embedded:")


@dataclass(frozen=True, slots=True)
class JobRow(JobLine):
    """One job as its row says."""

    submit: SubmitJob


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
    """Samples that ended, or wait, for one reason. In `reason` the sample's own id is written `…`."""

    state: str
    code: str
    reason: str
    count: int
    examples: tuple[int, ...]


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
class Cost:
    """What the job's labelers took in all."""

    seconds: float
    input_tokens: int
    output_tokens: int
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Place:
    """How far one has read what a job stored: its commits first, then its proposals, each by sample."""

    is_proposed: bool = False
    after: int = -1


_Stored: TypeAlias = "sa.Row[int, str, str | None, str]"
_WRITTEN: Final = sa.select(commits.c.sample_id, commits.c.base, commits.c.found, commits.c.target)
_PROPOSED: Final = sa.select(
    proposals.c.sample_id, proposals.c.base, sa.null().label("found"), proposals.c.draft.label("target")
).where(
    ~sa.exists().where(commits.c.job_id == proposals.c.job_id, commits.c.sample_id == proposals.c.sample_id)
)
_LINE: Final = tuple(jobs.c[field.name] for field in fields(JobLine))


async def list_jobs(conn: AsyncConnection, *, prefix: str = "", limit: int = 100) -> tuple[JobLine, ...]:
    """Return jobs whose id starts with `prefix`, newest first."""
    query = sa.select(*_LINE).order_by(jobs.c.created_at.desc(), jobs.c.job_id).limit(limit)
    query = query.where(jobs.c.submit != "")  # but not a job that was cancelled before it came
    if prefix:  # looked up by themselves, the ids are read from their index alone
        ids = sa.select(jobs.c.job_id).where(jobs.c.job_id.startswith(prefix, autoescape=True))
        query = query.where(jobs.c.job_id.in_(ids))
    return tuple(JobLine(*row) for row in await conn.execute(query))


async def find_job(conn: AsyncConnection, job_id: str) -> JobRow | None:
    """Return one job."""
    query = sa.select(*_LINE, jobs.c.submit).where(jobs.c.job_id == job_id, jobs.c.submit != "")
    row = (await conn.execute(query)).first()
    if row is None:
        return None
    values = dict(row._mapping)
    return JobRow(**values | {"submit": SubmitJob.model_validate_json(row.submit)})


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
    """Group failed and held samples by reason, the most frequent first.

    Of very many reasons the rarest are one group without examples.
    """
    return await _by_reason(conn, job_id, samples.c.state.in_(("failed", "held")), examples)


async def waits(conn: AsyncConnection, job_id: str, *, examples: int = 5) -> tuple[FailureGroup, ...]:
    """Group the samples that are to be tried again by what their last attempt met."""
    is_told = sa.func.coalesce(samples.c.reason, "") != ""
    return await _by_reason(conn, job_id, (samples.c.state == "pending") & is_told, examples)


async def _by_reason(
    conn: AsyncConnection, job_id: str, which: sa.ColumnElement[bool], examples: int
) -> tuple[FailureGroup, ...]:
    reason: sa.ColumnElement[str] = sa.func.coalesce(samples.c.reason, "")
    for word in ("Sample", "sample"):
        own = sa.literal(f"{word} ").concat(sa.cast(samples.c.sample_id, sa.String))
        reason = sa.func.replace(reason, own, f"{word} …")
    ended = (
        sa.select(
            samples.c.sample_id, samples.c.state, sa.func.coalesce(samples.c.code, "").label("code"),
            reason.label("reason"),
        )
        .where(samples.c.job_id == job_id, which)
        .subquery()
    )  # fmt: skip
    group = (ended.c.state, ended.c.code, ended.c.reason)
    counted = sa.select(
        ended,
        sa.func.count().over(partition_by=group).label("number"),
        sa.func.count().over().label("whole"),
        sa.func.row_number().over(partition_by=group, order_by=ended.c.sample_id).label("place"),
    ).subquery()  # fmt: skip
    first = (counted.c.state, counted.c.code, counted.c.reason, counted.c.number, counted.c.whole)
    query = sa.select(*first, counted.c.sample_id).where(counted.c.place <= examples)
    order = (counted.c.number.desc(), *first[:3], counted.c.place)
    found = (await conn.execute(query.order_by(*order).limit(_MOST_GROUPS * examples))).all()
    return _grouped([tuple(row) for row in found])


def _grouped(rows: Sequence[tuple[str, str, str, int, int, int]]) -> tuple[FailureGroup, ...]:
    ids: dict[tuple[str, str, str, int], list[int]] = {}
    for state, code, reason, number, _, sample_id in rows:
        ids.setdefault((state, code, reason, number), []).append(sample_id)
    groups = [FailureGroup(*key, tuple(given)) for key, given in list(ids.items())[:_MOST_GROUPS]]
    if rest := sum(row[4] for row in rows[:1]) - sum(group.count for group in groups):
        groups.append(FailureGroup("others", "", "Other reasons, each of them rarer.", rest, ()))
    return tuple(groups)


async def changes(
    conn: AsyncConnection, job_id: str, *, only: Collection[int] | None = None
) -> AsyncIterator[SampleChange]:
    """Yield every proposed or committed sample of a job, by id, in pages; or `only` these.

    A commit counts before a proposal of the same sample; its `before` is what the write found.
    """
    async for row in _stored(conn, job_id, only):
        yield _change(row)


async def page_of_changes(
    conn: AsyncConnection, job_id: str, place: Place
) -> tuple[list[SampleChange], Place | None]:
    """Return the next of what `changes` yields, and where to go on; None at the end."""
    rows, further = await _page(conn, job_id, place)
    return [_change(row) for row in rows], further


async def sides(conn: AsyncConnection, job_id: str) -> AsyncIterator[tuple[int, Said, Said]]:
    """Yield what `changes` yields as what is said before and after, for adding up."""
    async for row in _stored(conn, job_id):
        before = said_in(from_json(row.base)["labels"]) if row.found is None else said(row.found)
        yield row.sample_id, before, said(row.target)


async def label_tally(conn: AsyncConnection, job_id: str) -> LabelTally:
    """Add up the changes of all samples of a job."""
    tally = LabelTally()
    async for _, before, after in sides(conn, job_id):
        tally.add(before, after)
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


async def _stored(
    conn: AsyncConnection, job_id: str, only: Collection[int] | None = None
) -> AsyncIterator[_Stored]:
    place: Place | None = Place()
    while place is not None:
        rows, place = await _page(conn, job_id, place, only)
        for row in rows:
            yield row


async def _page(
    conn: AsyncConnection, job_id: str, place: Place, only: Collection[int] | None = None
) -> tuple[Sequence[_Stored], Place | None]:
    """Return sample id, base, what a write found (None for a proposal) and target, and where to go on."""
    table, query = (proposals, _PROPOSED) if place.is_proposed else (commits, _WRITTEN)
    query = query.where(table.c.job_id == job_id, table.c.sample_id > place.after)
    if only is not None:
        query = query.where(table.c.sample_id.in_(sorted(only)))
    rows = (await conn.execute(query.order_by(table.c.sample_id).limit(_PAGE))).all()
    if len(rows) == _PAGE:
        return rows, Place(place.is_proposed, rows[-1].sample_id)
    return rows, None if place.is_proposed else Place(is_proposed=True)


def _change(row: _Stored) -> SampleChange:
    base = Base.model_validate_json(row.base)
    before = base.labels if row.found is None else LabelSet.model_validate_json(row.found)
    after = LabelSet.model_validate_json(row.target)
    return SampleChange(row.sample_id, base.sample, before, after, written=row.found is not None)
