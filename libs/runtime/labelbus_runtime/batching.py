"""Micro-batches: calls that come in singly and are answered together, by size or after a few milliseconds."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Collects items until `max_size` or `max_wait_s` after the first, and gives them to `flush` together.

    `flush` answers one result or exception per item, in order. When it raises instead, every item of the
    batch is tried alone, so that one bad item fails alone. At most `parallel` batches run at once; while
    all run, items gather, so batches grow with the load.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        max_size: int = 64,
        max_wait_s: float = 0.003,
        parallel: int = 1,
    ) -> None:
        self._flush = flush
        self._max_size = max_size
        self._max_wait_s = max_wait_s
        self._slots = asyncio.Semaphore(parallel)
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._full = asyncio.Event()
        self._collector: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, item: Item) -> Result:
        """Answer one item, by way of a batch. Raises what `flush` answered for it."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._waiting) >= self._max_size:
            self._full.set()
        if self._collector is None or self._collector.done():
            self._collector = asyncio.create_task(self._collect(), name="batch-collector")
        return await future

    async def close(self) -> None:
        """Answer what waits, then stop."""
        while self._running or (self._collector is not None and not self._collector.done()):
            tasks = [*self._running, *([self._collector] if self._collector else [])]
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _collect(self) -> None:
        while self._waiting:
            if len(self._waiting) < self._max_size and self._max_wait_s > 0:
                self._full.clear()
                try:
                    async with asyncio.timeout(self._max_wait_s):
                        await self._full.wait()
                except TimeoutError:
                    pass
            await self._slots.acquire()
            batch, self._waiting = self._waiting[: self._max_size], self._waiting[self._max_size :]
            task = asyncio.create_task(self._answer(batch), name="batch")
            self._running.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._slots.release()

    async def _answer(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        batch = [(item, future) for item, future in batch if not future.done()]
        if not batch:
            return
        try:
            results = await self._flush([item for item, _ in batch])
        except Exception as error:
            if len(batch) == 1:
                _settle(batch[0][1], error)
                return
            for one in batch:
                await self._answer([one])
            return
        for (_, future), result in zip(batch, results, strict=True):
            _settle(future, result)


def _settle(future: "asyncio.Future[Result]", result: Result | Exception) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
