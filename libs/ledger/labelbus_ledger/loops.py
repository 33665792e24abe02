"""Background work of a process: one function, again and again, that outlives faults of the ledger."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from labelbus_runtime.errors import LabelbusError

log = logging.getLogger(__name__)


class Loop:
    """Runs `turn` every `every_s`, the first time at once. A turn that fails is logged and repeated."""

    def __init__(self, name: str, turn: Callable[[], Awaitable[object]], *, every_s: float) -> None:
        self._name = name
        self._turn = turn
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; once."""
        self._task = self._task or asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """End, in the middle of a turn if need be."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._turn()
            except LabelbusError as error:
                log.warning("%s waits: %s", self._name, error)
            except Exception:
                log.exception("%s failed and goes on", self._name)
            await asyncio.sleep(self._every_s)
