"""What the dispatcher writes of the samples of a job. Every statement of it is here.

Functions take an open connection; the caller's transaction is the unit. Times are unix seconds in UTC.
A transaction that changes both locks jobs before samples, and either in the order of its keys: PostgreSQL
would break deadlocks otherwise.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import sqlalchemy as sa
from labelbus_contracts.ids import JobId, ProjectId, SampleId
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger.clock import now_of
from labelbus_ledger.tables import (
    ENDED_STATES,
    OPEN_STATES,
    SampleState,
    claims,
    samples,
    splits,
)

COMMITTER: Final = "committer"
IN_FLIGHT = sa.text("samples.state IN ('labeling', 'writing')")  # literal: only so the partial index serves


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One sample of one job. `base`, `draft` and `gathered` are JSON as pydantic writes it.

    `gathered` lists the drafts of the branches so far, while `draft` is what all of them get. A row with
    `split_fps` is a video that is to be split into so many frames per second, in place of a write.
    """

    job_id: JobId
    sample_id: SampleId
    position: int
    state: SampleState
    step: int = 0
    attempt: int = 1
    tries: int = 0
    labeler: str | None = None
    due_at: float = 0.0
    deadline_at: float | None = None
    first_sent_at: float | None = None
    base: str | None = None
    draft: str | None = None
    gathered: str | None = None
    code: str | None = None
    reason: str | None = None
    ended_at: float | None = None
    split_fps: int | None = None

    @property
    def key(self) -> tuple[JobId, SampleId]:
        """Return the primary key; transactions lock rows in its order."""
        return (self.job_id, self.sample_id)


_ROW = tuple(samples.c[field.name] for field in fields(SampleRow))
_MUTABLE: Final = tuple(
    field.name for field in fields(SampleRow) if field.name not in ("job_id", "sample_id", "position")
)
_SAVE = (
    sa.update(samples)
    .where(samples.c.job_id == sa.bindparam("at_job"), samples.c.sample_id == sa.bindparam("at_sample"))
    .values({name: sa.bindparam(name) for name in _MUTABLE})
)
_MARK = (
    sa.update(samples)
    .where(
        samples.c.job_id == sa.bindparam("at_job"),
        samples.c.sample_id == sa.bindparam("at_sample"),
        samples.c.state == "pending",
        samples.c.step == sa.bindparam("at_step"),
        samples.c.attempt == sa.bindparam("at_attempt"),
    )
    .values(
        {name: sa.bindparam(name) for name in ("state", "labeler", "deadline_at", "first_sent_at")},
    )
)
_PENDING = (
    sa.select(*_ROW)
    .where(
        samples.c.job_id == sa.bindparam("at_job"),
        samples.c.state == "pending",
        samples.c.step == sa.bindparam("at_step"),
        samples.c.position > sa.bindparam("after"),
        samples.c.due_at <= sa.bindparam("now"),
    )
    .order_by(samples.c.position)
    .limit(sa.bindparam("most"))
)
_COUNTIN_FLIGHT = (
    sa.select(samples.c.labeler, samples.c.job_id, sa.func.count())
    .where(IN_FLIGHT)
    .group_by(samples.c.labeler, samples.c.job_id)
)


async def lock_rows(
    conn: AsyncConnection, wanted: Mapping[JobId, Collection[SampleId]]
) -> dict[tuple[JobId, SampleId], SampleRow]:
    """Return the rows that exist, locked in the order of their keys where the database locks rows."""
    rows: dict[tuple[JobId, SampleId], SampleRow] = {}
    for job_id in sorted(wanted):
        query = (
            sa.select(*_ROW)
            .where(samples.c.job_id == job_id, samples.c.sample_id.in_(sorted(wanted[job_id])))
            .order_by(samples.c.sample_id)
            .with_for_update()
        )
        for found in await conn.execute(query):
            row = SampleRow(*found)
            rows[row.key] = row
    return rows


async def save_rows(conn: AsyncConnection, rows: Iterable[SampleRow]) -> None:
    """Write rows, in the order of their keys."""
    values = [
        {"at_job": row.job_id, "at_sample": row.sample_id, **{name: getattr(row, name) for name in _MUTABLE}}
        for row in sorted(rows, key=lambda row: row.key)
    ]
    if values:
        await conn.execute(_SAVE, values)


async def mark_sent(
    conn: AsyncConnection, rows: Iterable[SampleRow], *, deadline_at: float, now: float
) -> None:
    """Mark pending rows as in flight with their `labeler`, but for those that an event was faster on."""
    values = [
        {
            "at_job": row.job_id, "at_sample": row.sample_id, "at_step": row.step, "at_attempt": row.attempt,
            "state": "writing" if row.labeler == COMMITTER else "labeling", "labeler": row.labeler,
            "deadline_at": deadline_at,
            "first_sent_at": now if row.first_sent_at is None else row.first_sent_at,
        }
        for row in sorted(rows, key=lambda row: row.key)
    ]  # fmt: skip
    if values:
        await conn.execute(_MARK, values)


async def pending(
    conn: AsyncConnection, job_id: JobId, step: int, *, after: int, now: float, most: int
) -> list[SampleRow]:
    """Return the next due rows of a step, by position."""
    given = {"at_job": job_id, "at_step": step, "after": after, "now": now, "most": most}
    return [SampleRow(*row) for row in await conn.execute(_PENDING, given)]


async def in_flight(conn: AsyncConnection) -> dict[str, dict[JobId, int]]:
    """Count the rows in flight per labeler and job."""
    counts: dict[str, dict[JobId, int]] = {}
    for labeler, job_id, number in await conn.execute(_COUNTIN_FLIGHT):
        counts.setdefault(labeler or "", {})[job_id] = number
    return counts


async def overdue(
    conn: AsyncConnection, job_ids: Collection[JobId], *, now: float, most: int = 500
) -> list[tuple[JobId, SampleId]]:
    """Return keys of rows of these jobs that nobody answered in time."""
    query = (
        sa.select(samples.c.job_id, samples.c.sample_id)
        .where(IN_FLIGHT, samples.c.deadline_at <= now, samples.c.job_id.in_(sorted(job_ids)))
        .limit(most)
    )
    return [(JobId(job_id), SampleId(sample_id)) for job_id, sample_id in await conn.execute(query)]


async def any_in(conn: AsyncConnection, job_id: JobId, states: Sequence[str] = OPEN_STATES) -> bool:
    """Tell whether some sample of a job is in one of the states."""
    for state in states:
        if (await conn.execute(_first_of(job_id, state, 1))).first() is not None:
            return True
    return False


async def counts(conn: AsyncConnection, job_id: JobId) -> dict[str, int]:
    """Count the samples of a job by state."""
    query = sa.select(samples.c.state, sa.func.count()).where(samples.c.job_id == job_id)
    rows = await conn.execute(query.group_by(samples.c.state))
    return {row[0]: row[1] for row in rows}


async def has_more_ended(conn: AsyncConnection, job_id: JobId, than: int) -> bool:
    """Tell whether more samples of a job than so many have ended; looks at no more than that."""
    ended = 0
    for state in ENDED_STATES:
        some = _first_of(job_id, state, than + 1 - ended).subquery()
        ended += (await conn.execute(sa.select(sa.func.count()).select_from(some))).scalar_one()
        if ended > than:
            return True
    return False


def _first_of(job_id: JobId, state: str, most: int) -> sa.Select[int]:
    """Select some samples of a state in the order of their index.

    Without an order PostgreSQL reads the whole table where it believes that most samples are in the state.
    """
    query = sa.select(sa.literal(1)).where(samples.c.job_id == job_id, samples.c.state == state)
    return query.order_by(samples.c.step, samples.c.position).limit(most)


async def any_claim(conn: AsyncConnection, job_id: JobId) -> bool:
    """Tell whether a write of the job is under way, or a video is being split for it."""
    claimed = sa.exists().where(claims.c.job_id == job_id)
    holds = splits.c.frames.is_(None) & (splits.c.expires_at > now_of(conn))
    splitting = sa.exists().where(splits.c.job_id == job_id, holds)
    return bool(await conn.scalar(sa.select(claimed | splitting)))


async def frames_of(conn: AsyncConnection, project_id: ProjectId, videos: Collection[SampleId]) -> list[int]:
    """Return the frames of videos that the committer has had split, as far as it has written them down."""
    query = sa.select(splits.c.frames).where(
        splits.c.project_id == project_id, splits.c.sample_id.in_(videos), splits.c.frames.is_not(None)
    )
    return [one for text in (await conn.execute(query)).scalars() for one in json.loads(text)]
