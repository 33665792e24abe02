"""Paid calls: kept answers, budgets, limits and what failing calls cost."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from labelbus_contracts.ids import JobId
from labelbus_contracts.v1.events import Usage
from labelbus_labeling.paid import Answer, Estimate, PartlyBilled, RateHeaders, Unmetered
from labelbus_labeling.paid.metered import Register
from labelbus_labeling.paid.rate_settings import RateSettings
from labelbus_ledger import spending
from labelbus_ledger.engine import Ledger, LedgerSettings
from labelbus_ledger.rates import Limits
from labelbus_ledger.spending import Budget
from labelbus_runtime.errors import RetryLater, SampleRefused

WORST = Estimate(100, 20, 0.10)
USAGE = Usage(input_tokens=50, output_tokens=5, cost_usd=0.04)


@dataclass
class Provider:
    """Counts calls; answers with the text it is asked for, or raises what is next."""

    calls: int = 0
    faults: list[BaseException] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    limits: RateHeaders | None = None

    def __post_init__(self) -> None:
        self.gate.set()

    def says(self, text: str) -> Callable[[], Awaitable[Answer]]:
        async def call() -> Answer:
            self.calls += 1
            self.called.set()
            await self.gate.wait()
            if self.faults:
                raise self.faults.pop(0)
            return Answer(text, USAGE, "luna-1", limits=self.limits)

        return call


@dataclass
class Shop:
    """A register on a fresh ledger, a provider, and the means to ask."""

    ledger: Ledger
    register: Register
    provider: Provider

    async def ask(
        self,
        digest: str = "d",
        *,
        job: str = "job",
        worst: Estimate = WORST,
        register: Register | None = None,
    ) -> Answer:
        door = (register or self.register).of(JobId(job))
        return await door.ask(
            provider="openai", model="luna", digest=digest, worst=worst, call=self.provider.says(digest)
        )

    async def cap(self, cap_usd: float | None, job: str = "job") -> None:
        async with self.ledger.write() as conn:
            await spending.set_cap(self.ledger, conn, JobId(job), cap_usd)

    async def stands(self, job: str = "job") -> Budget:
        async with self.ledger.read() as conn:
            found = await spending.budget(conn, JobId(job))
        assert found is not None
        return found

    def other(self, **settings: object) -> Register:
        """Return the register of another process."""
        return Register(self.ledger, RateSettings(**settings))  # type: ignore[arg-type]


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """No limits; waits are short."""
    ledger = await Ledger.open(LedgerSettings(home=tmp_path))
    yield Shop(ledger, Register(ledger, RateSettings(most_wait_s=0.3)), Provider())
    await ledger.close()


async def test_asked_twice_paid_once(shop: Shop) -> None:
    """The second equal question is answered from the ledger, by any process, without reserving."""
    await shop.cap(0.10)
    first = await shop.ask()
    second = await shop.ask(register=shop.other())
    assert (first.text, first.cached, first.usage) == ("d", False, USAGE)
    assert (second.text, second.cached, second.usage, second.model) == ("d", True, Usage(), "luna-1")
    assert shop.provider.calls == 1
    assert await shop.stands() == Budget(0.10, 0.0, 0.04, 1)


async def test_the_name_of_who_answered_has_room_in_every_ledger(shop: Shop) -> None:
    """A server that calls its model by a path of hundreds of letters is paid, and kept, all the same."""

    async def call() -> Answer:
        return Answer("cat", USAGE, "/models/" + 300 * "m")

    door = shop.register.of(JobId("job"))
    for _ in range(2):
        kept = await door.ask(provider="own", model="luna", digest="d", worst=WORST, call=call)
    assert kept.cached and len(kept.model) == 200


async def test_a_question_that_fails_half_way_costs_what_was_billed(shop: Shop) -> None:
    """What some of its calls cost is spent, no answer is kept, and its fault is what is raised."""
    await shop.cap(1.0)
    away = RetryLater("The endpoint is away.", code="engine-busy")
    shop.provider.faults.append(PartlyBilled(away, Usage(cost_usd=0.03), 3))
    with pytest.raises(RetryLater) as caught:
        await shop.ask(worst=Estimate(0, 0, 0.10, calls=10))
    assert caught.value is away
    assert await shop.stands() == Budget(1.0, 0.0, 0.03, 3)
    with pytest.raises(RetryLater, match="away"):
        await Unmetered().ask(
            provider="openai",
            model="luna",
            digest="d",
            worst=WORST,
            call=_raising(PartlyBilled(away, USAGE, 1)),
        )


async def test_a_limit_met_half_way_holds_every_call(shop: Shop) -> None:
    """A question of several calls that ends at a 429 freezes the key like a single one."""
    limited = RetryLater("Asked too often.", code="rate", after_s=60.0)
    shop.provider.faults.append(PartlyBilled(limited, USAGE, 1))
    with pytest.raises(RetryLater, match="too often"):
        await shop.ask()
    with pytest.raises(RetryLater, match="have no room"):
        await shop.ask("another", register=shop.other(most_wait_s=0.3))
    assert shop.provider.calls == 1


async def test_an_unknown_price_names_the_setting_that_gives_it(shop: Shop) -> None:
    """A job with a budget pauses before it pays somebody whose price nobody knows."""
    await shop.cap(1.0)
    unknown = Estimate(0, 0, math.inf, price_setting="LABELBUS_AUDIO_PRICE_PER_CALL_USD")
    with pytest.raises(RetryLater, match="Give it in LABELBUS_AUDIO_PRICE_PER_CALL_USD"):
        await shop.ask(worst=unknown)
    assert shop.provider.calls == 0


def _raising(fault: Exception) -> Callable[[], Awaitable[Answer]]:
    async def call() -> Answer:
        raise fault

    return call


async def test_equal_calls_at_once(shop: Shop) -> None:
    """Equal questions that are asked together are one call, whichever jobs they are of."""
    await shop.cap(1.0)
    answers = await asyncio.gather(*(shop.ask(job=f"job{n % 2}") for n in range(8)), shop.ask("other"))
    assert shop.provider.calls == 2
    assert sum(not one.cached for one in answers) == 2
    assert sum(one.usage.cost_usd for one in answers) == pytest.approx(0.08)


async def test_cancelled_leader(shop: Shop) -> None:
    """When the one that calls is cancelled, another one that waits calls in its place."""
    await shop.cap(1.0)
    shop.provider.gate.clear()
    leader = asyncio.create_task(shop.ask())
    await shop.provider.called.wait()
    follower = asyncio.create_task(shop.ask())
    await asyncio.sleep(0)
    leader.cancel()
    shop.provider.gate.set()
    assert (await follower).text == "d"
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert await shop.stands() == Budget(1.0, 0.0, 0.14, 2)  # the cancelled one may have been billed


async def test_budget_ends_the_job(shop: Shop) -> None:
    """Beyond the cap nothing is called; the error names the cap and how to raise it."""
    await shop.cap(0.15)
    await shop.ask("a")
    await shop.ask("b")
    with pytest.raises(RetryLater, match=r"budget of job job is \$0.15.* --budget USD") as caught:
        await shop.ask("c")
    assert (caught.value.scope, caught.value.code) == ("job", "budget")
    assert shop.provider.calls == 2
    assert (await shop.ask("a")).cached  # what is known costs nothing


async def test_held_money_is_waited_for(shop: Shop) -> None:
    """A job whose money is only held by calls under way goes on when they turn out cheaper."""
    await shop.cap(0.24)
    answers = await asyncio.gather(*(shop.ask(str(number)) for number in range(4)))
    assert len(answers) == 4
    assert (await shop.stands()).spent_usd == pytest.approx(0.16)


async def test_many_wait_for_held_money(shop: Shop) -> None:
    """However many wait, nobody gives up while calls are settled and leave money over."""
    await shop.cap(0.65)
    register = shop.other(most_wait_s=0.5)
    provider = asyncio.Semaphore(1)

    async def ask(number: int) -> Answer:
        async def call() -> Answer:
            async with provider:
                await asyncio.sleep(0.1)
                return Answer("cat", USAGE, "luna-1")

        door = register.of(JobId("job"))
        return await door.ask(provider="openai", model="luna", digest=f"{number}", worst=WORST, call=call)

    assert len(await asyncio.gather(*(ask(number) for number in range(14)))) == 14


async def test_unknown_price(shop: Shop) -> None:
    """A model without a price is refused by a budget, and asked without one."""
    worst = Estimate(1, 1, math.inf)
    await shop.cap(5.0)
    with pytest.raises(RetryLater, match=r"price of luna is unknown\. Give it in LABELBUS_PRICES"):
        await shop.ask(worst=worst)
    assert (await shop.ask(job="no budget", worst=worst)).text == "d"


@pytest.mark.parametrize(
    ("fault", "spent_usd"),
    [
        (SampleRefused("The image is too small."), 0.0),
        (RetryLater("The provider is down."), 0.0),
        (RetryLater("No answer came within 60 s.", code="timeout"), 0.10),
        (RetryLater("The connection broke.", code="lost-answer"), 0.10),
        (KeyError("a bug of ours"), 0.10),
    ],
)
async def test_failing_calls(shop: Shop, fault: Exception, spent_usd: float) -> None:
    """A refused call is no paid one; one whose end is unknown counts at its worst. Neither is kept."""
    await shop.cap(1.0)
    shop.provider.faults.append(fault)
    with pytest.raises(type(fault)):
        await shop.ask()
    assert await shop.stands() == Budget(1.0, 0.0, spent_usd, 1 if spent_usd else 0)
    assert not (await shop.ask()).cached


async def test_rejected_and_tried_again(shop: Shop) -> None:
    """A short Retry-After is waited for in place."""
    await shop.cap(1.0)
    shop.provider.faults.append(RetryLater("Too many requests.", after_s=0.02, code="rate"))
    assert (await shop.ask()).text == "d"
    assert shop.provider.calls == 2


async def test_rejection_holds_every_worker(shop: Shop) -> None:
    """After a long Retry-After no worker of the key calls; the error says when to come back."""
    await shop.cap(1.0)
    shop.provider.faults.append(RetryLater("Too many requests.", after_s=60.0, code="rate"))
    with pytest.raises(RetryLater):
        await shop.ask("a")
    with pytest.raises(RetryLater) as caught:
        await shop.ask("b", register=shop.other(most_wait_s=0.01))
    assert (caught.value.code, caught.value.scope) == ("rate", "sample")
    assert 50 < (caught.value.after_s or 0) <= 60
    assert shop.provider.calls == 1
    assert (await shop.stands()).held_usd == 0.0


async def test_limits_of_settings(shop: Shop) -> None:
    """Calls beyond the burst wait; those that would wait too long are given back."""
    limits = Limits(requests_per_min=600, burst_s=0.5, headroom=1.0)
    register = shop.other(models={"luna": limits}, most_wait_s=0.3)
    asked = (shop.ask(str(number), register=register) for number in range(12))
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, RetryLater)]
    assert {one.code for one in refused} == {"rate"}
    assert 2 <= len(refused) <= 4
    assert shop.provider.calls == 12 - len(refused)


async def test_limits_of_answers(shop: Shop) -> None:
    """Limits that an answer's headers name hold from then on."""
    shop.provider.limits = RateHeaders.read(
        {"X-RateLimit-Limit-Requests": "3", "x-ratelimit-limit-tokens": "-1"}
    )
    await shop.ask("a")
    await shop.ask("b")
    with pytest.raises(RetryLater, match="limits of openai for luna"):
        await shop.ask("c")


async def test_own_key_own_limit(shop: Shop) -> None:
    """Two keys of a provider do not share a limit, and the ledger holds neither."""
    keys = [RateSettings.of({"OPENAI_API_KEY": key}).bucket("openai", "luna").key for key in ("sk-a", "sk-b")]
    assert keys[0] != keys[1]
    assert all(key and "sk-" not in key for key in keys)
    assert RateSettings.of({}).bucket("openai", "luna").key == ""


async def test_what_a_door_bought(shop: Shop) -> None:
    """A door knows what its own answers took, so that a sample that fails after them says so."""
    door = shop.register.of(JobId("job"))
    for digest in ("a", "b", "a"):
        await door.ask(
            provider="openai", model="luna", digest=digest, worst=WORST, call=shop.provider.says(digest)
        )
    assert door.bought == Usage(input_tokens=100, output_tokens=10, cost_usd=0.08)
