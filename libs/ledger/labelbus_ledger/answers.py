"""The answers of paid models: kept so that equal questions are not paid for again, forgotten in batches."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger.clock import now_of
from labelbus_ledger.engine import Ledger
from labelbus_ledger.tables import answers


@dataclass(frozen=True, slots=True, order=True)
class AnswerKey:
    """Names a question: `digest` is of everything that was asked, `model` as asked for."""

    provider: str
    model: str
    digest: str


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer, and what it cost when it was bought."""

    text: str
    answered_by: str
    input_tokens: int
    output_tokens: int
    cost_usd: float


_AT_ONCE: Final = 1000
_KEY: Final = tuple(answers.c[one.name] for one in fields(AnswerKey))
_TYPES: Final = tuple(column.type for column in _KEY)
_NAMES: Final = tuple(one.name for one in (*fields(AnswerKey), *fields(KeptAnswer)))


async def kept_answers(conn: AsyncConnection, keys: Collection[AnswerKey]) -> dict[AnswerKey, KeptAnswer]:
    """Return the answers that are known."""
    found = await conn.execute(sa.select(*(answers.c[name] for name in _NAMES)).where(_among(keys)))
    return {AnswerKey(*row[:3]): KeptAnswer(*row[3:]) for row in found}


async def keep_answers(ledger: Ledger, conn: AsyncConnection, new: Mapping[AnswerKey, KeptAnswer]) -> None:
    """Keep answers; of equal questions the first one stays."""
    if not new:
        return
    now = (await conn.execute(sa.select(now_of(conn)))).scalar_one()
    rows = [
        {**dict(zip(_NAMES, (*astuple(key), *astuple(answer)), strict=True)), "answered_at": now}
        for key, answer in sorted(new.items(), key=lambda item: item[0])
    ]
    await conn.execute(ledger.insert(answers).values(rows).on_conflict_do_nothing())


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


def _among(keys: Iterable[AnswerKey]) -> sa.ColumnElement[bool]:
    """Match these answers, by model: SQLite looks up many triples in no index."""
    by_model: dict[tuple[str, str], set[str]] = {}
    for key in keys:
        by_model.setdefault((key.provider, key.model), set()).add(key.digest)
    return sa.or_(
        sa.false(),
        *(
            sa.and_(
                answers.c.provider == provider, answers.c.model == model, answers.c.digest.in_(sorted(ours))
            )
            for (provider, model), ours in sorted(by_model.items())
        ),
    )
