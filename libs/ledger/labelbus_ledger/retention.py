"""Forget what was kept long enough: the answers of paid models, in batches that hold nobody up."""

from dataclasses import astuple, fields
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger.clock import now_of
from labelbus_ledger.engine import Ledger
from labelbus_ledger.spending import AnswerKey
from labelbus_ledger.tables import answers

_AT_ONCE: Final = 1000
_KEY: Final = tuple(answers.c[one.name] for one in fields(AnswerKey))
_TYPES: Final = tuple(column.type for column in _KEY)


async def count_answers(ledger: Ledger, *, older_than_s: float) -> tuple[int, int]:
    """Return how many answers are older, and how many there are."""
    async with ledger.read() as conn:
        before = await _moment(conn, older_than_s)
        counts = sa.select(sa.func.count().filter(answers.c.answered_at < before), sa.func.count())
        old, whole = (await conn.execute(counts.select_from(answers))).one()
        return int(old), int(whole)


async def forget_answers(ledger: Ledger, *, older_than_s: float, at_once: int = _AT_ONCE) -> int:
    """Delete the answers that are older, at most `at_once` in one transaction; return how many.

    Equal questions are paid for again from then on.
    """
    async with ledger.read() as conn:
        before = await _moment(conn, older_than_s)
    deleted, after = 0, AnswerKey("", "", "")
    while True:
        async with ledger.write() as conn:
            last = await _last_of_batch(conn, before, after, at_once)
            if last is None:
                return deleted
            batch = sa.delete(answers).where(
                answers.c.answered_at < before, _is_above(after), ~_is_above(last)
            )
            deleted += (await conn.execute(batch)).rowcount
        after = last


async def _moment(conn: AsyncConnection, ago_s: float) -> float:
    return float((await conn.execute(sa.select(now_of(conn)))).scalar_one()) - ago_s


async def _last_of_batch(
    conn: AsyncConnection, before: float, after: AnswerKey, at_once: int
) -> AnswerKey | None:
    """Return the key at the end of the next batch, in the order of keys: the table is gone through once."""
    old = sa.select(*_KEY).where(answers.c.answered_at < before, _is_above(after))
    keys = (await conn.execute(old.order_by(*_KEY).limit(at_once))).all()
    return AnswerKey(*keys[-1]) if keys else None


def _is_above(key: AnswerKey) -> sa.ColumnElement[bool]:
    return sa.tuple_(*_KEY) > sa.tuple_(*astuple(key), types=_TYPES)
