"""Whether the deployment of a worker works: a message that succeeded proves it, bugs without one stop it."""

import asyncio
import logging

from labelbus_contracts.v1.message import Message

from labelbus_runtime import metrics
from labelbus_runtime.dead_letters import reason_of
from labelbus_runtime.worker import Worker

log = logging.getLogger(__name__)


class Proof:
    """What one worker did so far. `stopped` says why it takes no more messages; None while it does."""

    def __init__(self, worker: Worker) -> None:
        self.successes = 0
        self.stopped: str | None = None
        self._worker = worker
        self._failing: set[str] = set()
        self._waiting: set[asyncio.Future[None]] = set()
        self._is_stopped = metrics.STOPPED.labels(worker.service, worker.topic.name)
        self._is_stopped.set(0)

    def succeeded(self) -> None:
        """Note a message that succeeded."""
        self.successes += 1
        self._failing.clear()
        self._tell()

    def failed(self, message: Message, error: BaseException) -> None:
        """Note a message that failed by a bug; `stop_after` different ones in a row stop the worker."""
        self._failing.add(message.id)
        log.error("%s failed on %s", self._worker.name, message.id, exc_info=error)
        if len(self._failing) >= self._worker.stop_after:
            self._stop(f"{len(self._failing)} messages in a row failed, the last one by {reason_of(error)}")

    async def after(self, successes: int) -> None:
        """Wait for one more success, or the worker's end, at most `hold_s`. A worker without any stops."""
        if self.successes != successes or self.stopped is not None:
            return
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(news)
        try:
            async with asyncio.timeout(self._worker.hold_s):
                await news
        except TimeoutError:
            if not self.successes:
                self._stop("it has not succeeded with any message since it started")
        finally:
            self._waiting.discard(news)

    def _stop(self, reason: str) -> None:
        if self.stopped is not None:
            return
        self.stopped = f"{self._worker.name} stopped: {reason}. Mend and restart it; its messages wait."
        self._is_stopped.set(1)
        log.critical("%s", self.stopped)
        self._tell()

    def _tell(self) -> None:
        for news in self._waiting:
            if not news.done():
                news.set_result(None)
