"""How many calls run at once and how many begin per second, for one project."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from labelbus_studio.errors import StudioUnavailable
from labelbus_studio.settings import StudioSettings

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class Limits:
    """Admit calls: at most `concurrency` at once, their starts at least `1 / rate_per_s` apart."""

    def __init__(self, settings: StudioSettings, *, clock: Clock, sleep: Sleep) -> None:
        self._slots = _Slots(settings.concurrency)
        self._gap_s = 1 / settings.rate_per_s if settings.rate_per_s else 0.0
        self._within_s = settings.queue_within_s
        self._next_start = float("-inf")
        self._clock = clock
        self._sleep = sleep

    @asynccontextmanager
    async def slot(self, *, first: bool = False) -> AsyncIterator[None]:
        """Hold a slot. Raises `StudioUnavailable` if none is free within the time for queueing.

        Who comes `first` goes before all others: what has begun ends before anything else begins.
        The turn comes after the slot: turns taken in a queue would all be over when the slots become free.
        """
        try:
            async with asyncio.timeout(self._within_s):
                await self._slots.acquire(first=first)
        except TimeoutError:
            raise StudioUnavailable(
                f"No call slot to Studio became free within {self._within_s:g} s. Studio is slow, or raise "
                f"LABELBUS_STUDIO_{'RATE_PER_S' if self._gap_s else 'CONCURRENCY'}.",
                retry_after_s=self._within_s,
            ) from None
        try:
            await self._turn()
            yield
        finally:
            self._slots.release()

    async def _turn(self) -> None:
        if not self._gap_s:
            return
        now = self._clock()
        start = max(now, self._next_start)
        if start - now > self._within_s:
            raise StudioUnavailable(
                f"The rate to Studio is used up for the next {start - now:.0f} s. Lower the load, or raise "
                "LABELBUS_STUDIO_RATE_PER_S.",
                retry_after_s=start - now,
            )
        self._next_start = start + self._gap_s
        if start > now:
            await self._sleep(start - now)


class _Slots:
    """A semaphore with two queues: nobody of the second has a turn while somebody is in the first."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._first: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    async def acquire(self, *, first: bool) -> None:
        if self._free:
            self._free -= 1
            return
        queue, turn = self._first if first else self._others, asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                queue.remove(turn)
            else:
                self.release()
            raise

    def release(self) -> None:
        for queue in (self._first, self._others):
            for turn in queue:
                if not turn.done():
                    turn.set_result(None)
                    queue.remove(turn)
                    return
        self._free += 1
