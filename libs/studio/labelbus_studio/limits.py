"""How many calls run at once and how many begin per second, for one project."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from labelbus_studio.errors import StudioUnavailable
from labelbus_studio.settings import StudioSettings

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class Limits:
    """Admit calls: at most `concurrency` at once, their starts at least `1 / rate_per_s` apart."""

    def __init__(self, settings: StudioSettings, *, clock: Clock, sleep: Sleep) -> None:
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._gap_s = 1 / settings.rate_per_s if settings.rate_per_s else 0.0
        self._within_s = settings.queue_within_s
        self._next_start = float("-inf")
        self._clock = clock
        self._sleep = sleep

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot. Raises `StudioUnavailable` if none is free within the time for queueing.

        The turn comes after the slot: turns taken in a queue would all be over when the slots become free.
        """
        try:
            async with asyncio.timeout(self._within_s):
                await self._slots.acquire()
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
