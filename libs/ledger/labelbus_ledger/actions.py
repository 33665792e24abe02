"""Actions kept by name, with revisions. Times are unix seconds in UTC."""

import time
from dataclasses import dataclass

import sqlalchemy as sa
from labelbus_contracts.jobs import ActionSpec
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger.engine import Ledger
from labelbus_ledger.tables import actions


@dataclass(frozen=True, slots=True)
class StoredAction:
    """One revision of an action; `spec` names it too."""

    spec: ActionSpec
    revision: int
    note: str
    created_at: float


async def add(ledger: Ledger, spec: ActionSpec, *, note: str = "") -> StoredAction:
    """Keep an action under its name as a new revision; the newest one again where nothing differs.

    Where somebody else has just taken the revision, it is the next one. Raises `Unavailable`.
    """
    plain = spec.model_copy(update={"revision": None})
    while True:
        async with ledger.write() as conn:
            revision = await _next_revision(conn, spec.name)  # before the newest is looked at: see `_insert`
            newest = await find(conn, spec.name)
            if newest is not None and newest.spec.model_copy(update={"revision": None}) == plain:
                return newest
            stored = StoredAction(plain, revision, note, time.time())
            if await _insert(ledger, conn, stored):
                return _named(stored)


async def find(conn: AsyncConnection, name: str, revision: int | None = None) -> StoredAction | None:
    """Return a revision of an action, the newest without a number; None where there is none."""
    query = _OF_NAMES.where(actions.c.name == name).order_by(actions.c.revision.desc()).limit(1)
    if revision is not None:
        query = query.where(actions.c.revision == revision)
    row = (await conn.execute(query)).first()
    return None if row is None else _stored(row)


async def list_all(conn: AsyncConnection) -> list[StoredAction]:
    """Return every revision, by name, newest first."""
    query = _OF_NAMES.order_by(actions.c.name, actions.c.revision.desc())
    return [_stored(row) for row in await conn.execute(query)]


async def remove(ledger: Ledger, name: str, revision: int | None = None) -> int:
    """Forget an action, or one revision; return how many went. Their numbers are never used again."""
    statement = sa.update(actions).where(actions.c.name == name, actions.c.spec.is_not(None))
    if revision is not None:
        statement = statement.where(actions.c.revision == revision)
    async with ledger.write() as conn:
        gone = await conn.execute(statement.values(spec=None).returning(actions.c.revision))
        return len(gone.all())


async def _next_revision(conn: AsyncConnection, name: str) -> int:
    last = await conn.scalar(sa.select(sa.func.max(actions.c.revision)).where(actions.c.name == name))
    return (last or 0) + 1


async def _insert(ledger: Ledger, conn: AsyncConnection, stored: StoredAction) -> bool:
    """Insert a revision; answer False where its number was taken since it was chosen."""
    insert = ledger.insert(actions).values(
        name=stored.spec.name, revision=stored.revision, spec=stored.spec.model_dump_json(),
        note=stored.note, created_at=stored.created_at,
    )  # fmt: skip
    inserted = await conn.execute(insert.on_conflict_do_nothing().returning(actions.c.revision))
    return inserted.first() is not None


_OF_NAMES = sa.select(actions.c.spec, actions.c.revision, actions.c.note, actions.c.created_at).where(
    actions.c.spec.is_not(None)
)


def _stored(row: sa.Row[str, int, str, float]) -> StoredAction:
    spec = ActionSpec.model_validate_json(row.spec)
    return _named(StoredAction(spec, row.revision, row.note, row.created_at))


def _named(stored: StoredAction) -> StoredAction:
    spec = stored.spec.model_copy(update={"revision": stored.revision})
    return StoredAction(spec, stored.revision, stored.note, stored.created_at)
