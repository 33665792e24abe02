"""Budgets are never exceeded, rates are shared, answers are kept: on SQLite and on PostgreSQL."""

import asyncio
import math
import random
from dataclasses import replace

import pytest
from labelbus_contracts.ids import JobId
from labelbus_ledger import answers, spending
from labelbus_ledger.answers import AnswerKey, KeptAnswer
from labelbus_ledger.engine import Ledger
from labelbus_ledger.rates import Limits, Rate, Slot, TooSoon
from labelbus_ledger.spending import Bucket, Budget, OverBudget, Reserved, Settlement, Wish

JOB = JobId("job")
BUCKET = Bucket("openai", "gpt-6-luna", "k1")


def wish(
    cost_usd: float,
    *,
    job: str = "job",
    tokens: int = 100,
    limits: Limits | None = None,
    most_wait_s: float = 0,
) -> Wish:
    """Return one call to reserve."""
    return Wish(JobId(job), BUCKET, cost_usd, tokens, limits or Limits(), most_wait_s)


async def reserve(ledger: Ledger, *wishes: Wish) -> list[Reserved | OverBudget | TooSoon]:
    """Reserve in one transaction."""
    async with ledger.write() as conn:
        return await spending.reserve(ledger, conn, wishes)


async def settle(ledger: Ledger, *settlements: Settlement) -> None:
    """Settle in one transaction."""
    async with ledger.write() as conn:
        await spending.settle(ledger, conn, settlements)


async def set_cap(ledger: Ledger, cap_usd: float | None, job: str = "job") -> None:
    """Give a job its budget."""
    async with ledger.write() as conn:
        await spending.set_cap(ledger, conn, JobId(job), cap_usd)


async def stands(ledger: Ledger, job: str = "job") -> Budget:
    """Return how the job's money stands."""
    async with ledger.read() as conn:
        found = await spending.budget(conn, JobId(job))
    assert found is not None
    return found


async def test_holds_until_settled(ledger: Ledger) -> None:
    """A reservation holds its worst case; settling leaves what was spent."""
    await set_cap(ledger, 1.0)
    (held,) = await reserve(ledger, wish(0.4))
    assert isinstance(held, Reserved)
    assert await stands(ledger) == Budget(1.0, 0.4, 0.0, 0)
    await settle(ledger, Settlement(held, 0.1, used_tokens=50))
    assert await stands(ledger) == Budget(1.0, 0.0, 0.1, 1)


async def test_budget_to_the_last_cent(ledger: Ledger) -> None:
    """Exactly as many calls as the cap bears are granted, within one batch and over several."""
    await set_cap(ledger, 1.0)
    outcomes = await reserve(ledger, *(wish(0.1) for _ in range(7)))
    outcomes += await reserve(ledger, *(wish(0.1) for _ in range(7)))
    assert sum(isinstance(one, Reserved) for one in outcomes) == 10
    assert await stands(ledger) == Budget(1.0, 1.0, 0.0, 0)


async def test_a_smaller_call_still_fits(ledger: Ledger) -> None:
    """A call that the budget cannot bear does not keep a smaller one from it."""
    await set_cap(ledger, 0.5)
    large, small = await reserve(ledger, wish(0.6), wish(0.5))
    assert isinstance(large, OverBudget)
    assert large.budget.cap_usd == 0.5
    assert isinstance(small, Reserved)


async def test_crash_counts_as_spent(ledger: Ledger) -> None:
    """What nobody settled stays held, and leaves so much less for the rest of the job."""
    await set_cap(ledger, 1.0)
    await reserve(ledger, wish(0.9))  # and the process is gone
    (refused,) = await reserve(ledger, wish(0.2))
    assert isinstance(refused, OverBudget)
    assert refused.budget.held_usd == 0.9


async def test_raised_budget(ledger: Ledger) -> None:
    """A higher cap keeps what is spent."""
    await set_cap(ledger, 0.1)
    (held,) = await reserve(ledger, wish(0.1))
    assert isinstance(held, Reserved)
    await settle(ledger, Settlement(held, 0.1))
    await set_cap(ledger, 0.2)
    assert await stands(ledger) == Budget(0.2, 0.0, 0.1, 1)
    first, second = await reserve(ledger, wish(0.1), wish(0.1))
    assert isinstance(first, Reserved)
    assert isinstance(second, OverBudget)


async def test_unknown_price(ledger: Ledger) -> None:
    """A call of unknown price fits a job without a budget only."""
    await set_cap(ledger, None)
    await set_cap(ledger, 1e6, "capped")
    free, capped, unheard_of = await reserve(
        ledger, wish(math.inf), wish(math.inf, job="capped"), wish(math.inf, job="no row")
    )
    assert isinstance(free, Reserved)
    assert isinstance(capped, OverBudget)
    assert isinstance(unheard_of, Reserved)


async def test_never_exceeded_by_many(ledger: Ledger) -> None:
    """However reservations and settlements of many workers interleave, held and spent stay in the cap."""
    await set_cap(ledger, 1.0)
    chance = random.Random(1)
    highest = 0.0

    async def work(number: int) -> None:
        nonlocal highest
        for _ in range(6):
            worst = chance.choice([0.01, 0.07, 0.11])
            (held,) = await reserve(ledger, wish(worst))
            now = await stands(ledger)
            highest = max(highest, now.held_usd + now.spent_usd)
            if isinstance(held, Reserved) and (number + chance.randrange(3)) % 5:  # else it crashes
                await settle(ledger, Settlement(held, worst * chance.random()))

    await asyncio.gather(*(work(number) for number in range(8)))
    assert 0.5 < highest <= 1.0


async def test_rate_takes_turns(ledger: Ledger) -> None:
    """Calls beyond the burst wait for their turn, and those that would wait too long reserve nothing."""
    await set_cap(ledger, 1.0)
    limits = Limits(requests_per_min=60, headroom=1.0, burst_s=1.0)
    outcomes = await reserve(ledger, *(wish(0.1, limits=limits, most_wait_s=2.5) for _ in range(6)))
    waits = [round(one.slot.wait_s) for one in outcomes if isinstance(one, Reserved)]
    assert waits == [0, 0, 1, 2]
    assert all(isinstance(one, TooSoon) for one in outcomes[4:])
    assert (await stands(ledger)).held_usd == 0.4


async def test_rate_refund(ledger: Ledger) -> None:
    """Tokens that were reserved and not used make room for others."""
    limits = Limits(tokens_per_min=6000, headroom=1.0, burst_s=1.0)
    (held,) = await reserve(ledger, wish(0, tokens=6000, limits=limits))
    (refused,) = await reserve(ledger, wish(0, tokens=10, limits=limits))
    assert isinstance(held, Reserved)
    assert isinstance(refused, TooSoon)
    assert 50 < refused.after_s < 60
    await settle(ledger, Settlement(held, 0.0, used_tokens=100))
    (granted,) = await reserve(ledger, wish(0, tokens=10, limits=limits))
    assert isinstance(granted, Reserved)


async def test_freeze_reaches_everybody(ledger: Ledger) -> None:
    """After one worker's 429 no worker of the key calls until it is over; other keys do."""
    (held,) = await reserve(ledger, wish(0))
    assert isinstance(held, Reserved)
    await settle(ledger, Settlement(held, 0.0, freeze_s=30.0))
    await settle(ledger, Settlement(held, 0.0, freeze_s=5.0))  # a shorter one does not thaw it
    (refused,) = await reserve(ledger, wish(0, most_wait_s=10.0))
    assert isinstance(refused, TooSoon)
    async with ledger.read() as conn:
        frozen = await spending.frozen_for(conn, {BUCKET, Bucket("openai", "gpt-6-luna", "k2")})
    assert 25 < frozen.pop(BUCKET) <= 30
    assert not frozen


async def test_learned_limits(ledger: Ledger) -> None:
    """A limit that an answer names holds for everybody, unless settings say another."""
    (held,) = await reserve(ledger, wish(0))
    assert isinstance(held, Reserved)
    await settle(ledger, Settlement(held, 0.0, requests_per_min=3.0))
    learned = await reserve(ledger, wish(0), wish(0))
    assert [type(one) for one in learned] == [Reserved, TooSoon]


async def test_a_question_of_several_requests(ledger: Ledger) -> None:
    """It takes the place of all of them; what it did not need is given back and not counted as calls."""
    await set_cap(ledger, 1.0)
    limits = Limits(requests_per_min=60, headroom=1.0, burst_s=10.0)
    ten = replace(wish(0, limits=limits, most_wait_s=30), requests=10)
    (held, late) = await reserve(ledger, ten, ten)
    assert isinstance(held, Reserved)
    assert isinstance(late, Reserved)
    assert held.slot.wait_s == 0
    assert late.slot.wait_s == pytest.approx(0, abs=0.1)
    await settle(ledger, Settlement(held, 0.0, used_tokens=0, sent=3))
    await settle(ledger, Settlement(late, 0.0))
    assert (await stands(ledger)).calls == 13
    (third,) = await reserve(ledger, ten)
    assert isinstance(third, Reserved)
    assert third.slot.wait_s == pytest.approx(3, abs=0.5)


async def test_answers_are_kept(ledger: Ledger) -> None:
    """An answer is found by its whole key; the first one given stays."""
    await set_cap(ledger, 1.0)
    key, answer = AnswerKey("openai", "gpt-6-luna", "d1"), KeptAnswer("cat", "gpt-6-luna-1", 10, 2, 0.001)
    held = await reserve(ledger, wish(0.1), wish(0.1))
    for one, text in zip(held, ("cat", "dog"), strict=True):
        assert isinstance(one, Reserved)
        kept = KeptAnswer(text, "gpt-6-luna-1", 10, 2, 0.001)
        await settle(ledger, Settlement(one, 0.001, used_tokens=12, key=key, answer=kept))
    async with ledger.write() as conn:
        other = AnswerKey("openai", "gpt-6-luna", "d2")
        assert await answers.kept_answers(conn, {key, other}) == {key: answer}


def test_after_a_freeze_no_rush() -> None:
    """What gathered while calls were frozen starts one after another."""
    rate, limits = Rate(frozen_until=100.0), Limits(requests_per_min=60, headroom=1.0, burst_s=1.0)
    waits = []
    for _ in range(4):
        rate, slot = rate.reserve(90.0, 1, limits, most_wait_s=60.0)
        assert isinstance(slot, Slot)
        waits.append(slot.wait_s)
    assert waits == [10.0, 10.0, 11.0, 12.0]


@pytest.mark.parametrize("tokens", [1, 500])
def test_long_run_keeps_the_limit(tokens: int) -> None:
    """Over minutes a bucket grants the part of the limit that headroom leaves, and a burst."""
    rate, limits, granted = Rate(), Limits(60, 6000), 0
    for tick in range(3000):
        rate, slot = rate.reserve(tick / 10, tokens, limits, most_wait_s=0.0)
        granted += isinstance(slot, Slot)
    most = min(60 * 5, 6000 * 5 / tokens)
    assert 0.95 * most <= granted <= most + 4
