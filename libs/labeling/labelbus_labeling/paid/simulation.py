"""How well a key's limits are used: workers and a provider on a clock of their own, without a network.

The provider has one bucket for requests and one for tokens, refilled all the time, and rejects what they
cannot bear. Ours share reservations, as the ledger keeps them; `naive` workers call and repeat, as SDKs do.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from labelbus_ledger.rates import HORIZON_S, Limits, Rate, TooSoon

_FULL_S: Final = 10.0  # what an idle bucket gathers; providers that gather more are easier
_NAIVE_TRIES: Final = 3
_REJECTED_S: Final = 0.08


@dataclass(frozen=True, slots=True)
class Setting:
    """Workers of one key, each with so many calls at once. A call takes 1.35 s in the median."""

    workers: int = 4
    concurrency: int = 32
    calls: int = 6000
    requests_per_min: float = 500.0
    tokens_per_min: float = 60_000.0
    tokens: tuple[int, ...] = (110, 130, 150, 290)
    reserved: int = 320
    seed: int = 0


@dataclass(slots=True)
class Result:
    """What came of it. `used` is the part of the tighter limit that served calls took."""

    served: int = 0
    rejected: int = 0
    given_up: int = 0
    used: float = 0.0
    minutes: float = 0.0

    @property
    def rejected_share(self) -> float:
        """Return the part of all calls that the provider rejected."""
        return self.rejected / max(1, self.rejected + self.served)


def shared(setting: Setting) -> Result:
    """Run workers that reserve in common before they call, and give back what they did not use."""
    world = _World(setting)
    limits = Limits(setting.requests_per_min, setting.tokens_per_min)
    state = Rate()

    def begin() -> None:
        nonlocal state
        state, slot = state.reserve(world.now, setting.reserved, limits, most_wait_s=HORIZON_S)
        if isinstance(slot, TooSoon):
            world.after(slot.again_s, begin)
            return
        world.after(slot.wait_s, lambda: call(slot.tokens_s))

    def call(held_s: float) -> None:
        nonlocal state
        tokens = world.tokens()
        took_s = world.call(tokens)
        if took_s is None:
            state = Rate(state.requests_free_at, state.tokens_free_at, world.now + world.wait_s(tokens))
            world.after(_REJECTED_S, begin)
            return
        world.after(took_s, lambda: settle(held_s * (1 - tokens / setting.reserved)))

    def settle(back_s: float) -> None:
        nonlocal state
        state = Rate(state.requests_free_at, state.tokens_free_at - back_s, state.frozen_until)
        world.next(begin)

    return world.run(begin)


def naive(setting: Setting) -> Result:
    """Run workers that call at once and repeat twice with backoff, as SDKs do."""
    world = _World(setting)

    def begin() -> None:
        attempt(world.tokens(), 1)

    def attempt(tokens: int, tried: int) -> None:
        took_s = world.call(tokens)
        if took_s is not None:
            world.after(took_s, lambda: world.next(begin))
        elif tried < _NAIVE_TRIES:
            world.after(0.5 * 2**tried, lambda: attempt(tokens, tried + 1))
        else:
            world.result.given_up += 1
            world.next(begin)

    return world.run(begin)


@dataclass(slots=True)
class _Bucket:
    per_s: float
    level: float
    at: float = 0.0

    def lacks_s(self, now: float, amount: float) -> float:
        """Refill, and return how long until the amount is there."""
        self.level = min(self.per_s * _FULL_S, self.level + (now - self.at) * self.per_s)
        self.at = now
        return max(0.0, amount - self.level) / self.per_s


@dataclass
class _World:
    setting: Setting
    now: float = 0.0
    result: Result = field(default_factory=Result)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.setting.seed)  # noqa: S311  # repeatable on purpose
        self._count = itertools.count()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        per_s = self.setting.requests_per_min / 60, self.setting.tokens_per_min / 60
        self._requests, self._tokens = (_Bucket(rate, rate * _FULL_S) for rate in per_s)
        self._begun = 0
        self._used = 0
        self._last = 0.0

    def run(self, begin: Callable[[], None]) -> Result:
        for _ in range(self.setting.workers * self.setting.concurrency):
            self.next(begin)
        while self._heap:
            self.now, _, happens = heapq.heappop(self._heap)
            happens()
        minutes = self._last / 60
        requests = self.result.served / (self.setting.requests_per_min * minutes)
        tokens = self._used / (self.setting.tokens_per_min * minutes)
        self.result.minutes, self.result.used = minutes, max(requests, tokens)
        return self.result

    def next(self, begin: Callable[[], None]) -> None:
        if self._begun < self.setting.calls:
            self._begun += 1
            self.after(0.0, begin)

    def after(self, seconds: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (self.now + seconds, next(self._count), happens))

    def tokens(self) -> int:
        return self._chance.choice(self.setting.tokens)

    def wait_s(self, tokens: int) -> float:
        return max(self._requests.lacks_s(self.now, 1), self._tokens.lacks_s(self.now, tokens))

    def call(self, tokens: int) -> float | None:
        """Return how long the call takes; None where it is rejected."""
        if self.wait_s(tokens) > 0:
            self.result.rejected += 1
            return None
        self._requests.level -= 1
        self._tokens.level -= tokens
        self.result.served += 1
        self._used += tokens
        self._last = self.now
        return self._chance.lognormvariate(0.3, 0.45)
