"""How a limit per minute is shared: reservations in time (GCRA), pure, on whatever clock is given.

A reservation moves the time at which all that was reserved will be refilled. A call may start when that
time is at most `burst_s` ahead. Times are unix seconds.
"""

from dataclasses import dataclass, replace
from typing import Final

HORIZON_S: Final = 2.0
"""How far ahead a call reserves. Further ahead, refunds would come too late for those who have a place."""

_MINUTE_S: Final = 60.0
_SOONEST_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests and tokens per minute; None is no limit. `headroom` is the part of them that we use."""

    requests_per_min: float | None = None
    tokens_per_min: float | None = None
    headroom: float = 0.98
    burst_s: float = 2.0

    def or_else(self, requests_per_min: float | None, tokens_per_min: float | None) -> "Limits":
        """Return these limits, with others where these say nothing."""
        return replace(
            self,
            requests_per_min=self.requests_per_min or requests_per_min,
            tokens_per_min=self.tokens_per_min or tokens_per_min,
        )

    def request_s(self) -> float:
        """Return how long one request takes to be refilled."""
        return _MINUTE_S / (self.requests_per_min * self.headroom) if self.requests_per_min else 0.0

    def token_s(self) -> float:
        """Return how long one token takes to be refilled."""
        return _MINUTE_S / (self.tokens_per_min * self.headroom) if self.tokens_per_min else 0.0


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in time: wait so long, then call. The rest is what a refund takes back."""

    wait_s: float
    requests_s: float
    tokens_s: float


@dataclass(frozen=True, slots=True)
class TooSoon:
    """No place soon enough; nothing was reserved."""

    after_s: float

    @property
    def again_s(self) -> float:
        """Return when to ask again: as soon as the place may be within the horizon."""
        return max(_SOONEST_S, self.after_s - HORIZON_S)


@dataclass(frozen=True, slots=True)
class Rate:
    """The state of one limit."""

    requests_free_at: float = 0.0
    tokens_free_at: float = 0.0
    frozen_until: float = 0.0

    def reserve(
        self, now: float, tokens: int, limits: Limits, *, most_wait_s: float, requests: int = 1
    ) -> "tuple[Rate, Slot | TooSoon]":
        """Take a place for requests of so many tokens in all, if there is one within `most_wait_s`."""
        start = max(now, self.frozen_until)  # what gathered during a freeze does not start at once
        requests_at, tokens_at = max(self.requests_free_at, start), max(self.tokens_free_at, start)
        wait_s = max(0.0, max(requests_at, tokens_at) - limits.burst_s - now, self.frozen_until - now)
        if wait_s > most_wait_s:
            return self, TooSoon(wait_s)
        slot = Slot(wait_s, requests * limits.request_s(), tokens * limits.token_s())
        taken = Rate(requests_at + slot.requests_s, tokens_at + slot.tokens_s, self.frozen_until)
        return taken, slot
