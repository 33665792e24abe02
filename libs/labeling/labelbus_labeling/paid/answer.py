"""What a labeler asks a provider for money, and the door that every such call goes through."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from labelbus_contracts.ids import JobId
from labelbus_contracts.v1.events import Usage
from labelbus_runtime.errors import RetryLater, SampleRefused

from labelbus_labeling.paid.headers import RateHeaders


@dataclass(frozen=True, slots=True)
class Estimate:
    """The worst case of one question. `cost_usd` is infinite where the model's price is unknown.

    `calls` is how many calls of the provider it takes at most: a clip of sound takes one for each window.
    `price_setting` is where a price that is unknown can be given.
    """

    input_tokens: int
    output_tokens: int
    cost_usd: float
    calls: int = 1
    price_setting: str = "LABELBUS_PRICES"

    @property
    def tokens(self) -> int:
        """Return what the call takes of a limit on tokens per minute."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider said. `model` is the one that answered; a cached answer cost nothing.

    `calls` is how many calls of the provider it took.
    """

    text: str
    usage: Usage
    model: str
    cached: bool = False
    limits: RateHeaders | None = None
    calls: int = 1


UNKNOWN_ENDS: Final = frozenset({"timeout", "lost-answer"})
"""Codes of calls that were sent but came to no answer that can be read: they may have been billed."""


class PartlyBilled(Exception):
    """Some calls of a question were billed before `error` ended it."""

    def __init__(self, error: RetryLater | SampleRefused, usage: Usage, calls: int) -> None:
        super().__init__(str(error))
        self.error = error
        self.usage = usage
        self.calls = calls


class PaidCalls(Protocol):
    """The door to a provider that bills. Every `LabelTask` has one as `task.paid`."""

    async def ask(
        self,
        *,
        provider: str,
        model: str,
        digest: str,
        worst: Estimate,
        call: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """Return the kept answer of this provider, model and digest, or call, and keep the answer.

        `call` is awaited at most a few times, and never while an equal one of this process runs. It
        answers whatever the provider billed, however useless, and raises only where nothing was:
        `RetryLater(code="rate", after_s=…)` for a 429, which every worker of the key then heeds. What
        it raises with a code of `UNKNOWN_ENDS`, or unclassified, counts as the worst case.
        Of a question of several calls it may raise `PartlyBilled`; its `error` is then raised here.

        Raises `RetryLater` of scope "job" and code "budget" where the job's budget cannot bear the worst
        case, of code "rate" where the limits have no room soon, and whatever `call` raises.
        """


class PaidDesk(Protocol):
    """Hands out the paid calls of each job."""

    def of(self, job_id: JobId) -> PaidCalls:
        """Return the door for one job."""

    async def close(self) -> None:
        """Finish what runs."""


class Unmetered:
    """Implements `PaidCalls` by calling: no ledger, budget or limit. For tests and free engines."""

    async def ask(
        self,
        *,
        provider: str,
        model: str,
        digest: str,
        worst: Estimate,
        call: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """Call."""
        del provider, model, digest, worst
        try:
            return await call()
        except PartlyBilled as fault:
            raise fault.error from fault
