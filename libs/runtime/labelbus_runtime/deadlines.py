"""One watch over all the handlers of a worker: timers of their own would cost more than many handlers."""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

Result = TypeVar("Result")
_LOOKS_PER_TIMEOUT: Final = 8
_LOOK_MOST_S: Final = 1.0


class Deadlines:
    """Cancels what runs for longer than `timeout_s`, at most an eighth of it or one second late."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._look_every_s = min(_LOOK_MOST_S, timeout_s / _LOOKS_PER_TIMEOUT)
        self._running: dict[asyncio.Task[object], float] = {}
        self._expired: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, work: Awaitable[Result]) -> Result:
        """Await something in the current task. Raises `TimeoutError` where its time was over."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("only a task can be watched")
        self._running[task] = loop.time() + self._timeout_s
        if self._timer is None:
            self._timer = loop.call_later(self._look_every_s, self._look, loop)
        try:
            return await work
        except asyncio.CancelledError as error:
            if task in self._expired and task.uncancel() <= 0:
                raise TimeoutError(f"not done within {self._timeout_s:g} s") from error
            raise
        finally:
            del self._running[task]
            if self._expired:
                self._expired.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, end in self._running.items():
            if end <= now and task not in self._expired:
                self._expired.add(task)
                task.cancel()
        self._timer = loop.call_later(self._look_every_s, self._look, loop) if self._running else None
