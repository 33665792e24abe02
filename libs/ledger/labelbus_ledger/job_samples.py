"""What happens to many samples of a job at once: they join it, are taken back, opened or staged again.

As in `sample_rows`: the caller's transaction is the unit, rows are locked in the order of their keys.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, Final

import sqlalchemy as sa
from labelbus_contracts.ids import JobId
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger.engine import Ledger
from labelbus_ledger.job_rows import JobHead
from labelbus_ledger.sample_rows import IN_FLIGHT
from labelbus_ledger.tables import (
    jobs,
    proposals,
    samples,
)

IDS_PER_STATEMENT: Final = 10_000


async def insert_samples(
    ledger: Ledger, conn: AsyncConnection, head: JobHead, ids: Sequence[int], *, step: int = 0
) -> int:
    """Append samples to a job whose row is locked; known ones are left alone. Return how many are new."""
    unique = list(dict.fromkeys(ids))
    added = 0
    for start in range(0, len(unique), IDS_PER_STATEMENT):
        chunk = unique[start : start + IDS_PER_STATEMENT]
        known = await known_ids(conn, head.job_id, chunk)
        new = [
            {"job_id": head.job_id, "sample_id": sample_id, "step": step, "state": "pending"}
            for sample_id in chunk
            if sample_id not in known
        ]
        for place, values in enumerate(new, start=head.total + added):
            values["position"] = place
        if new:
            await conn.execute(ledger.insert(samples).on_conflict_do_nothing(), new)
        added += len(new)
    return added


async def known_ids(conn: AsyncConnection, job_id: JobId, ids: Collection[int]) -> set[int]:
    """Return which of the ids are samples of the job; at most `IDS_PER_STATEMENT` are asked for."""
    query = sa.select(samples.c.sample_id).where(samples.c.job_id == job_id, samples.c.sample_id.in_(ids))
    return set((await conn.execute(query)).scalars())


async def copy_proposals(
    ledger: Ledger, conn: AsyncConnection, head: JobHead, source: JobId, *, after: int, step: int
) -> tuple[int, int | None]:
    """Append the next stored proposals of a preview, with base and draft, as rows to be written.

    Returns how many were appended and the last sample id, None at the end.
    """
    page = (
        sa.select(proposals)
        .where(proposals.c.job_id == source, proposals.c.sample_id > after)
        .order_by(proposals.c.sample_id)
        .limit(IDS_PER_STATEMENT)
        .subquery()
    )
    number, last = (await conn.execute(sa.select(sa.func.count(), sa.func.max(page.c.sample_id)))).one()
    if not number:
        return 0, None
    place = sa.func.row_number().over(order_by=page.c.sample_id) + (head.total - 1)
    defaults = {"state": "pending", "step": step, "attempt": 1, "tries": 0, "due_at": 0.0}
    columns = ["job_id", "sample_id", "position", "base", "draft", *defaults]
    rows = sa.select(
        sa.literal(head.job_id), page.c.sample_id, place, page.c.base, page.c.draft,
        *(sa.literal(value) for value in defaults.values()),
    ).where(sa.true())  # fmt: skip  # SQLite cannot parse an upsert of a SELECT without WHERE
    await conn.execute(ledger.insert(samples).from_select(columns, rows).on_conflict_do_nothing())
    return number, int(last)


async def take_back(conn: AsyncConnection, job_id: JobId) -> None:
    """Make what a job has in flight pending again, as new attempts."""
    flying = (samples.c.job_id == job_id, IN_FLIGHT)
    await _lock_in_order(conn, *flying)
    await conn.execute(
        sa.update(samples)
        .where(*flying)
        .values(state="pending", attempt=samples.c.attempt + 1, labeler=None, deadline_at=None, due_at=0.0)
    )


async def reopen_failed(conn: AsyncConnection, job_id: JobId, *, source: JobId | None, steps: int) -> None:
    """Make the failed samples of a job pending, from the start; those of a preview with its proposals."""
    values: dict[str, Any] = {
        "state": "pending", "step": 0, "attempt": 1, "tries": 0, "labeler": None, "due_at": 0.0,
        "deadline_at": None, "first_sent_at": None, "code": None, "reason": None, "ended_at": None,
    }  # fmt: skip
    if source is not None:
        of_sample = sa.and_(proposals.c.job_id == source, proposals.c.sample_id == samples.c.sample_id)
        values["step"] = steps
        values["base"] = sa.select(proposals.c.base).where(of_sample).scalar_subquery()
        values["draft"] = sa.select(proposals.c.draft).where(of_sample).scalar_subquery()
    async for some in _batches(conn, samples.c.job_id == job_id, samples.c.state == "failed"):
        await conn.execute(sa.update(samples).where(*some).values(values))


async def stage_again(conn: AsyncConnection, job_id: JobId, *, steps: int) -> int:
    """Make the stored proposals of a preview wait to be proposed once more, as they are; return how many."""
    of_sample = sa.and_(proposals.c.job_id == samples.c.job_id, proposals.c.sample_id == samples.c.sample_id)
    staged = (samples.c.job_id == job_id, samples.c.state == "proposed", sa.exists().where(of_sample))
    values: dict[str, Any] = {
        "state": "pending", "step": steps, "attempt": samples.c.attempt + 1, "tries": 0, "due_at": 0.0,
        "first_sent_at": None, "ended_at": None,
        "base": sa.select(proposals.c.base).where(of_sample).scalar_subquery(),
        "draft": sa.select(proposals.c.draft).where(of_sample).scalar_subquery(),
    }  # fmt: skip
    number = 0
    async for some in _batches(conn, *staged):
        number += (await conn.execute(sa.update(samples).where(*some).values(values))).rowcount
    return number


async def _batches(
    conn: AsyncConnection, *where: sa.ColumnElement[bool]
) -> AsyncIterator[tuple[sa.ColumnElement[bool], ...]]:
    """Part samples into ranges of ids, locked in order: a million would outlast the time of a statement."""
    last = -1
    while True:
        rows = sa.select(samples.c.sample_id).where(*where, samples.c.sample_id > last)
        ordered = rows.order_by(samples.c.sample_id).limit(IDS_PER_STATEMENT)
        locked = ordered.with_for_update(of=samples).subquery()
        highest = await conn.scalar(sa.select(sa.func.max(locked.c.sample_id)))
        if highest is None:
            return
        yield (*where, samples.c.sample_id > last, samples.c.sample_id <= highest)
        last = highest


async def _lock_in_order(conn: AsyncConnection, *where: sa.ColumnElement[bool] | sa.TextClause) -> None:
    """Lock samples in the order of their keys, before a statement that would take them as they lie."""
    if conn.dialect.name == "postgresql":
        rows = sa.select(samples.c.sample_id).where(*where).order_by(samples.c.sample_id)
        locked = rows.with_for_update(of=samples).subquery()
        await conn.execute(sa.select(sa.func.count()).select_from(locked))


async def take_over(conn: AsyncConnection, head: JobHead, *, carrier: str, now: float) -> bool:
    """Give a job to another carrier; answer False where somebody was faster."""
    statement = (
        sa.update(jobs)
        .where(jobs.c.job_id == head.job_id, jobs.c.carrier == head.carrier)
        .values(carrier=carrier, changed_at=now)
        .returning(jobs.c.job_id)
    )
    if (await conn.execute(statement)).first() is None:
        return False
    await take_back(conn, head.job_id)
    return True
