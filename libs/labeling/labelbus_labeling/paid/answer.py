"""What a labeler asks a provider for money, and the door that every such call goes through."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from labelbus_contracts.ids import JobId
from labelbus_contracts.v1.events import Usage

from labelbus_labeling.paid.headers import RateHeaders


@dataclass(frozen=True, slots=True)
class Estimate:
    """The worst case of one call. `cost_usd` is infinite where the model's price is unknown."""

    input_tokens: int
    output_tokens: int
    cost_usd: float

    @property
    def tokens(self) -> int:
        """Return what the call takes of a limit on tokens per minute."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider said. `model` is the one that answered; a cached answer cost nothing."""

    text: str
    usage: Usage
    model: str
    cached: bool = False
    limits: RateHeaders | None = None


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
        it raises with code "timeout" (sent, but not answered), or unclassified, counts as the worst case.

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
        return await call()
