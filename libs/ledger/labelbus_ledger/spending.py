"""What paid calls take: budgets and rates, reserved before a call and settled after it.

Functions take an open connection; the caller's transaction is the unit, and rows are locked in one order:
budgets, then rates, each by primary key. Money is whole nano-dollars inside, US dollars outside.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Final

import sqlalchemy as sa
from labelbus_contracts.ids import JobId
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger.answers import AnswerKey, KeptAnswer, keep_answers
from labelbus_ledger.clock import now_of
from labelbus_ledger.engine import Ledger
from labelbus_ledger.rates import Limits, Rate, Slot, TooSoon
from labelbus_ledger.tables import budgets, rates

_NANO: Final = 1_000_000_000
_UNITS: Final = (sa.String(64), sa.String(200), sa.String(64))


@dataclass(frozen=True, slots=True)
class Budget:
    """How a job's money stands, in US dollars. `cap_usd` None is no budget."""

    cap_usd: float | None
    held_usd: float
    spent_usd: float
    calls: int


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """Who shares a limit: the calls of one provider, model and key (its fingerprint)."""

    provider: str
    model: str
    key: str


@dataclass(frozen=True, slots=True)
class Wish:
    """One question to reserve: the most that it may take. An infinite cost fits no budget."""

    job_id: JobId
    bucket: Bucket
    cost_usd: float
    tokens: int
    limits: Limits
    most_wait_s: float
    requests: int = 1


@dataclass(frozen=True, slots=True)
class OverBudget:
    """The job's budget cannot bear the call; nothing was reserved."""

    budget: Budget


@dataclass(frozen=True, slots=True)
class Reserved:
    """What one call holds until it is settled."""

    wish: Wish
    slot: Slot
    held: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a reservation.

    `used_tokens` None: nothing is known, the worst case stays. `sent` is how many requests were made; the
    others are given back, and None is all that were reserved, which count as paid unless no token was used.
    `freeze_s` holds every call of the bucket for so long. Learned limits are per minute.
    """

    reserved: Reserved
    spent_usd: float
    used_tokens: int | None = None
    sent: int | None = None
    freeze_s: float = 0.0
    requests_per_min: float | None = None
    tokens_per_min: float | None = None
    key: AnswerKey | None = None
    answer: KeptAnswer | None = None


# --- budgets -------------------------------------------------------------------------------------


async def set_cap(ledger: Ledger, conn: AsyncConnection, job_id: JobId, cap_usd: float | None) -> None:
    """Give a job a budget, or change it; what is held and spent stays."""
    cap = None if cap_usd is None else math.floor(cap_usd * _NANO)
    row = ledger.insert(budgets).values(job_id=job_id, cap=cap, held=0, spent=0, calls=0)
    await conn.execute(row.on_conflict_do_update(index_elements=[budgets.c.job_id], set_={"cap": cap}))


async def budget(conn: AsyncConnection, job_id: JobId) -> Budget | None:
    """Return how a job's money stands; None where it has no row."""
    row = (await conn.execute(sa.select(budgets).where(budgets.c.job_id == job_id))).first()
    return None if row is None else _shown(row.cap, row.held, row.spent, row.calls)


# --- reservations --------------------------------------------------------------------------------


async def reserve(
    ledger: Ledger, conn: AsyncConnection, wishes: Sequence[Wish]
) -> list[Reserved | OverBudget | TooSoon]:
    """Reserve money and a place in time for each call, in order; each gets both or nothing."""
    purses = await _purses(conn, {wish.job_id for wish in wishes})
    held = [_take(purses.get(wish.job_id), wish.cost_usd) for wish in wishes]
    affordable = [wish for wish, one in zip(wishes, held, strict=True) if isinstance(one, int)]
    slots = iter(await _slots(ledger, conn, affordable))
    outcomes: list[Reserved | OverBudget | TooSoon] = []
    for wish, one in zip(wishes, held, strict=True):
        if isinstance(one, OverBudget):
            outcomes.append(one)
        elif isinstance(slot := next(slots), TooSoon):
            _give_back(purses.get(wish.job_id), one)
            outcomes.append(slot)
        else:
            outcomes.append(Reserved(wish, slot, one))
    await _hold(conn, purses)
    return outcomes


async def settle(ledger: Ledger, conn: AsyncConnection, settlements: Sequence[Settlement]) -> None:
    """Turn what was held into what was spent, give back time, freeze, learn limits, keep answers."""
    for job_id, ours in sorted(_by_job(settlements).items()):
        await conn.execute(
            sa.update(budgets)
            .where(budgets.c.job_id == job_id)
            .values(
                held=budgets.c.held - sum(one.reserved.held for one in ours),
                spent=budgets.c.spent + sum(_nano(one.spent_usd) for one in ours),
                calls=budgets.c.calls + sum(map(_billed, ours)),
            )
        )
    for bucket, ours in sorted(_by_bucket(settlements).items()):
        await _correct(conn, bucket, ours)
    new = {one.key: one.answer for one in settlements if one.key is not None and one.answer is not None}
    await keep_answers(ledger, conn, new)


async def frozen_for(conn: AsyncConnection, buckets: Collection[Bucket]) -> dict[Bucket, float]:
    """Return for how many seconds each bucket is still frozen; missing ones are not."""
    left = rates.c.frozen_until - now_of(conn)
    query = sa.select(rates.c.provider, rates.c.model, rates.c.key, left)
    query = query.where(_is_one_of(sorted(buckets)), left > 0)
    return {Bucket(*row[:3]): row[3] for row in await conn.execute(query)}


# --- private -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Purse:
    """A locked row of budgets, and what this transaction adds to `held`."""

    cap: int | None
    held: int
    spent: int
    calls: int
    added: int = 0


async def _purses(conn: AsyncConnection, job_ids: Collection[JobId]) -> dict[JobId, _Purse]:
    query = sa.select(budgets).where(budgets.c.job_id.in_(sorted(job_ids))).order_by(budgets.c.job_id)
    rows = await conn.execute(query.with_for_update())
    return {row.job_id: _Purse(row.cap, row.held, row.spent, row.calls) for row in rows}


def _take(purse: _Purse | None, cost_usd: float) -> int | OverBudget:
    """Hold the cost in the purse. A job without one has no budget, and then no price must be known."""
    if purse is None or (purse.cap is None and math.isinf(cost_usd)):
        return 0
    cost = math.inf if math.isinf(cost_usd) else _nano(cost_usd)
    if purse.cap is not None and purse.held + purse.added + purse.spent + cost > purse.cap:
        return OverBudget(_shown(purse.cap, purse.held + purse.added, purse.spent, purse.calls))
    purse.added += int(cost)
    return int(cost)


def _give_back(purse: _Purse | None, held: int) -> None:
    if purse is not None:
        purse.added -= held


async def _hold(conn: AsyncConnection, purses: dict[JobId, _Purse]) -> None:
    """Write what is held, on the condition that the cap bears it, whatever was read before."""
    for job_id, purse in sorted(purses.items()):
        if not purse.added:
            continue
        total = budgets.c.held + budgets.c.spent + purse.added
        statement = sa.update(budgets).where(
            budgets.c.job_id == job_id, budgets.c.cap.is_(None) | (total <= budgets.c.cap)
        )
        result = await conn.execute(statement.values(held=budgets.c.held + purse.added))
        if result.rowcount != 1:
            raise RuntimeError(f"The budget of job {job_id} changed while it was locked. Report this.")


async def _slots(ledger: Ledger, conn: AsyncConnection, wishes: Sequence[Wish]) -> list[Slot | TooSoon]:
    if not wishes:
        return []
    found = await _locked_rates(ledger, conn, {wish.bucket for wish in wishes})
    now = (await conn.execute(sa.select(now_of(conn)))).scalar_one()
    slots: list[Slot | TooSoon] = []
    after = {bucket: rate for bucket, (rate, _) in found.items()}
    for wish in wishes:
        limits = wish.limits.or_else(*found[wish.bucket][1])
        after[wish.bucket], slot = after[wish.bucket].reserve(
            now, wish.tokens, limits, most_wait_s=wish.most_wait_s, requests=wish.requests
        )
        slots.append(slot)
    for bucket, rate in sorted(after.items(), key=lambda item: item[0]):
        if rate != found[bucket][0]:
            values = {"requests_free_at": rate.requests_free_at, "tokens_free_at": rate.tokens_free_at}
            await conn.execute(sa.update(rates).where(_is(bucket)).values(values))
    return slots


async def _locked_rates(
    ledger: Ledger, conn: AsyncConnection, buckets: Collection[Bucket]
) -> dict[Bucket, tuple[Rate, tuple[float | None, float | None]]]:
    """Return state and learned limits of each bucket; new ones are made."""
    names = sorted(buckets)
    query = sa.select(rates).where(_is_one_of(names)).with_for_update()
    query = query.order_by(rates.c.provider, rates.c.model, rates.c.key)
    rows = (await conn.execute(query)).all()
    if len(rows) < len(names):
        new = [
            {"provider": one.provider, "model": one.model, "key": one.key,
             "requests_free_at": 0.0, "tokens_free_at": 0.0, "frozen_until": 0.0}
            for one in names
        ]  # fmt: skip
        await conn.execute(ledger.insert(rates).values(new).on_conflict_do_nothing())
        rows = (await conn.execute(query)).all()
    return {
        Bucket(row.provider, row.model, row.key): (
            Rate(row.requests_free_at, row.tokens_free_at, row.frozen_until),
            (row.requests_per_min, row.tokens_per_min),
        )
        for row in rows
    }


async def _correct(conn: AsyncConnection, bucket: Bucket, settlements: Sequence[Settlement]) -> None:
    values: dict[str, sa.ColumnElement[float] | float] = {}
    if requests_s := sum(_requests_back_s(one) for one in settlements):
        values["requests_free_at"] = rates.c.requests_free_at - requests_s
    if tokens_s := sum(_tokens_back_s(one) for one in settlements):
        values["tokens_free_at"] = rates.c.tokens_free_at - tokens_s
    if freeze_s := max(one.freeze_s for one in settlements):
        until = now_of(conn) + freeze_s
        values["frozen_until"] = sa.case((rates.c.frozen_until > until, rates.c.frozen_until), else_=until)
    for name in ("requests_per_min", "tokens_per_min"):
        if (learned := [getattr(one, name) for one in settlements if getattr(one, name)]) != []:
            values[name] = learned[-1]
    if values:
        await conn.execute(sa.update(rates).where(_is(bucket)).values(values))


def _billed(one: Settlement) -> int:
    return 0 if one.sent is None and one.used_tokens == 0 else _sent(one)


def _sent(one: Settlement) -> int:
    return one.reserved.wish.requests if one.sent is None else one.sent


def _requests_back_s(one: Settlement) -> float:
    requests = one.reserved.wish.requests
    return one.reserved.slot.requests_s * (1 - _sent(one) / requests) if requests else 0.0


def _tokens_back_s(one: Settlement) -> float:
    """Return the time to give back; negative where more was used than the worst case said."""
    if one.used_tokens is None or not one.reserved.wish.tokens:
        return 0.0
    return one.reserved.slot.tokens_s * (1 - one.used_tokens / one.reserved.wish.tokens)


def _by_job(settlements: Iterable[Settlement]) -> dict[JobId, list[Settlement]]:
    grouped = defaultdict(list)
    for one in settlements:
        grouped[one.reserved.wish.job_id].append(one)
    return grouped


def _by_bucket(settlements: Iterable[Settlement]) -> dict[Bucket, list[Settlement]]:
    grouped = defaultdict(list)
    for one in settlements:
        grouped[one.reserved.wish.bucket].append(one)
    return grouped


def _is(bucket: Bucket) -> sa.ColumnElement[bool]:
    return sa.and_(
        rates.c.provider == bucket.provider, rates.c.model == bucket.model, rates.c.key == bucket.key
    )


def _is_one_of(buckets: Sequence[Bucket]) -> sa.ColumnElement[bool]:
    columns = [rates.c[one.name] for one in fields(Bucket)]
    return sa.tuple_(*columns, types=_UNITS).in_([astuple(bucket) for bucket in buckets])


def _nano(usd: float) -> int:
    """Round up: what is reserved or spent is never less than it is."""
    return math.ceil(usd * _NANO)


def _shown(cap: int | None, held: int, spent: int, calls: int) -> Budget:
    return Budget(None if cap is None else cap / _NANO, held / _NANO, spent / _NANO, calls)
