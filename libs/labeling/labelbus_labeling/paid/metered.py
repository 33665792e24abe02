"""Paid calls as services make them: kept answers first, then the budget and the limits, then the call."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeAlias

from labelbus_contracts.ids import JobId
from labelbus_contracts.v1.events import Usage
from labelbus_ledger.answers import AnswerKey, KeptAnswer
from labelbus_ledger.engine import Ledger
from labelbus_ledger.rates import HORIZON_S, TooSoon
from labelbus_ledger.spending import Budget, Reserved, Settlement, Wish
from labelbus_runtime.errors import RetryLater, SampleRefused

from labelbus_labeling.paid.answer import UNKNOWN_ENDS, Answer, Estimate, PartlyBilled
from labelbus_labeling.paid.rate_settings import RateSettings
from labelbus_labeling.paid.till import Till

Call: TypeAlias = Callable[[], Awaitable[Answer]]

_FREEZE_S: Final = 5.0  # where a 429 does not say how long
_NAP_S: Final = 0.25  # who waited longer looks again whether the key was frozen meanwhile
_AGAIN_S: Final = 0.2  # how often to look whether calls under way have left money over


class Register:
    """Hands out the paid calls of each job of a process. Equal questions of a process are asked once.

    Two processes that ask the same at the same time both pay; the first answer is kept.
    """

    def __init__(self, ledger: Ledger, settings: RateSettings | None = None) -> None:
        self._till = Till(ledger)
        self._settings = settings or RateSettings()
        self._flights: dict[AnswerKey, asyncio.Future[Answer]] = {}

    def of(self, job_id: JobId) -> "Metered":
        """Return the door for one job."""
        return Metered(job_id, self._till, self._settings, self._flights)

    async def close(self) -> None:
        """Settle what runs."""
        await self._till.close()


class Metered:
    """Implements `PaidCalls` by the ledger, for one job. `bought` is what its answers took so far."""

    def __init__(
        self,
        job_id: JobId,
        till: Till,
        settings: RateSettings,
        flights: dict[AnswerKey, asyncio.Future[Answer]],
    ) -> None:
        self._job_id = job_id
        self._till = till
        self._settings = settings
        self._flights = flights
        self.bought = Usage()

    async def ask(self, *, provider: str, model: str, digest: str, worst: Estimate, call: Call) -> Answer:
        """Answer as `PaidCalls.ask` says. Raises `Unavailable` too, while the ledger is away."""
        key = AnswerKey(provider, model, digest)
        while (flight := self._flights.get(key)) is not None:
            if (answer := await _followed(flight)) is not None:
                return _again(answer)
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._asked(key, worst, call)
        except BaseException as error:
            _land(flight, error)
            raise
        finally:
            del self._flights[key]
        flight.set_result(answer)
        return answer

    async def _asked(self, key: AnswerKey, worst: Estimate, call: Call) -> Answer:
        kept = await self._till.kept(key)
        if kept is not None:
            return Answer(kept.text, Usage(), kept.answered_by, cached=True)
        until = time.monotonic() + self._settings.most_wait_s
        while True:
            reserved = await self._turn(key, worst, until)
            try:
                return await self._bought(key, reserved, call)
            except RetryLater as error:
                if error.code != "rate" or time.monotonic() + _freeze_s(error) > until:
                    raise

    async def _turn(self, key: AnswerKey, worst: Estimate, until: float) -> Reserved:
        """Reserve, and wait until it is our turn. Raises `RetryLater`, with nothing reserved."""
        while True:
            reserved = await self._reserved(key, worst, until)
            if reserved.slot.wait_s <= 0:
                return reserved
            try:
                await asyncio.sleep(reserved.slot.wait_s)
                frozen_s = await self._frozen_s(reserved)
            except BaseException:
                await self._till.settle(_unused(reserved))
                raise
            if frozen_s <= 0:
                return reserved
            await self._till.settle(_unused(reserved))

    async def _reserved(self, key: AnswerKey, worst: Estimate, until: float) -> Reserved:
        """Reserve. Money that is only held for calls under way is waited for, as it may be left over.

        That wait begins anew whenever a call has been settled: only money that a crash left is given up.
        """
        spent_usd, patient_until = -1.0, until
        while True:
            left_s = max(0.0, until - time.monotonic())
            outcome = await self._till.reserve(self._wish(key, worst, min(left_s, HORIZON_S)))
            if isinstance(outcome, Reserved):
                return outcome
            if isinstance(outcome, TooSoon):
                if outcome.again_s >= left_s:
                    raise _too_soon(key, outcome)
                await asyncio.sleep(outcome.again_s)
                continue
            if outcome.budget.spent_usd > spent_usd:
                spent_usd = outcome.budget.spent_usd
                patient_until = time.monotonic() + self._settings.most_wait_s
            if not _is_only_held(outcome.budget, worst) or time.monotonic() >= patient_until:
                raise _over_budget(self._job_id, key.model, outcome.budget, worst)
            await asyncio.sleep(_AGAIN_S)

    def _wish(self, key: AnswerKey, worst: Estimate, most_wait_s: float) -> Wish:
        return Wish(
            self._job_id,
            self._settings.bucket(key.provider, key.model),
            worst.cost_usd,
            worst.tokens,
            self._settings.limits(key.provider, key.model),
            most_wait_s,
            worst.calls,
        )

    async def _frozen_s(self, reserved: Reserved) -> float:
        if reserved.slot.wait_s < _NAP_S:
            return 0.0
        return await self._till.frozen_s(reserved.wish.bucket)

    async def _bought(self, key: AnswerKey, reserved: Reserved, call: Call) -> Answer:
        """Call, and settle whatever comes of it. What nobody knows the end of counts at its worst case."""
        settlement = Settlement(reserved, _bearable(reserved.wish.cost_usd))
        try:
            answer = await call()
            settlement = _paid(key, reserved, answer)
            self.bought = _sum(self.bought, answer.usage)
            return answer
        except PartlyBilled as fault:
            used = fault.usage
            settlement = Settlement(
                reserved,
                used.cost_usd,
                used_tokens=_tokens(used),
                sent=fault.calls,
                freeze_s=_frozen_by(fault.error),
            )
            self.bought = _sum(self.bought, used)
            raise fault.error from fault
        except (RetryLater, SampleRefused) as error:
            if error.code not in UNKNOWN_ENDS:
                settlement = Settlement(reserved, 0.0, used_tokens=0, freeze_s=_frozen_by(error))
            raise
        finally:
            await self._till.settle(settlement)


async def _followed(flight: "asyncio.Future[Answer]") -> Answer | None:
    """Wait for an equal call. None where it did not come to an answer that holds for us too."""
    try:
        return await asyncio.shield(flight)
    except asyncio.CancelledError:
        if flight.cancelled() and not _is_cancelled():
            return None
        raise
    except RetryLater as error:
        if error.code == "budget":  # of that job, not of ours
            return None
        raise


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _land(flight: "asyncio.Future[Answer]", error: BaseException) -> None:
    if isinstance(error, Exception):
        flight.set_exception(error)
        flight.exception()  # nobody may be waiting for it
    else:
        flight.cancel()


def _again(answer: Answer) -> Answer:
    """Return an answer as those get it who did not pay for it."""
    return replace(answer, usage=Usage(), cached=True, limits=None)


def _paid(key: AnswerKey, reserved: Reserved, answer: Answer) -> Settlement:
    usage = answer.usage
    return Settlement(
        reserved,
        usage.cost_usd,
        used_tokens=_tokens(usage),
        sent=answer.calls,
        requests_per_min=answer.limits.requests_per_min if answer.limits else None,
        tokens_per_min=answer.limits.tokens_per_min if answer.limits else None,
        key=key,
        answer=KeptAnswer(
            answer.text, answer.model[:200], usage.input_tokens, usage.output_tokens, usage.cost_usd
        ),
    )


def _tokens(usage: Usage) -> int:
    return usage.input_tokens + usage.output_tokens


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        seconds=one.seconds + other.seconds,
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cost_usd=one.cost_usd + other.cost_usd,
    )


def _unused(reserved: Reserved) -> Settlement:
    return Settlement(reserved, 0.0, used_tokens=0, sent=0)


def _bearable(cost_usd: float) -> float:
    return 0.0 if math.isinf(cost_usd) else cost_usd


def _frozen_by(error: RetryLater | SampleRefused) -> float:
    return _freeze_s(error) if error.code == "rate" else 0.0


def _freeze_s(error: RetryLater | SampleRefused) -> float:
    after_s = error.after_s if isinstance(error, RetryLater) else None
    return _FREEZE_S if after_s is None else after_s


def _too_soon(key: AnswerKey, outcome: TooSoon) -> RetryLater:
    return RetryLater(
        f"The limits of {key.provider} for {key.model} have no room for another {outcome.after_s:.0f} s. "
        "Wait, or ask the provider for higher ones.",
        after_s=outcome.after_s,
        code="rate",
    )


def _is_only_held(budget: Budget, worst: Estimate) -> bool:
    return budget.cap_usd is not None and budget.spent_usd + worst.cost_usd <= budget.cap_usd


def _over_budget(job_id: JobId, model: str, budget: Budget, worst: Estimate) -> RetryLater:
    cap = f"The budget of job {job_id} is ${budget.cap_usd:g}"
    if math.isinf(worst.cost_usd):
        text = f"{cap}, and the price of {model} is unknown. "
        text += f"Give it in {worst.price_setting}, then resume the job."
    else:
        text = (
            f"{cap}: ${budget.spent_usd:.4f} are spent, ${budget.held_usd:.4f} held for calls under way or "
            f"lost, and the next call may cost ${worst.cost_usd:.4f}. Raise it: "
            f"`labelbus jobs resume {job_id} --budget USD`."
        )
    return RetryLater(text, scope="job", code="budget")
