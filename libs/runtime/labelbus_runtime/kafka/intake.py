"""Many records of a partition at once, and nothing lost: FastStream's consume loop feeds an `Intake`.

Rules that this rests on: AckPolicy.MANUAL, nobody acknowledges or commits but `Intake`, and
`OrderedMiddleware` is the first of the broker's middlewares.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from faststream import BaseMiddleware

from labelbus_runtime import metrics, offsets
from labelbus_runtime.delivery import Delivery, Held
from labelbus_runtime.kafka.connection import is_fault
from labelbus_runtime.settings import KafkaSettings

log = logging.getLogger(__name__)
_COMMIT_TIMEOUT_S: Final = 10.0
_STUCK_S: Final = 60.0
_STORM_WITHIN_S: Final = 60.0
_STORM: Final = 8
"""Partitions taken away so often within `_STORM_WITHIN_S` are fought for."""
Committed = dict[TopicPartition, OffsetAndMetadata]
ReadCommitted = Callable[[str, list[TopicPartition]], Awaitable[Committed]]


class Intake(ConsumerRebalanceListener):  # type: ignore[misc]
    """What one worker reads: slots, offsets, running tasks, and the group's rebalances."""

    def __init__(
        self, delivery: Delivery, settings: KafkaSettings, *, group_id: str, read_committed: ReadCommitted
    ) -> None:
        self.delivery = delivery
        self.group_id = group_id
        self.consumer: Callable[[], AIOKafkaConsumer | None] = lambda: None
        self.leave: Callable[[], Awaitable[None]] = _nothing
        self.closing = False
        self._settings = settings
        self._read_committed = read_committed
        self._offsets: offsets.OrderedOffsets[TopicPartition] = offsets.OrderedOffsets()
        self._slots = asyncio.Semaphore(delivery.worker.concurrency)
        self._tasks: dict[asyncio.Task[None], TopicPartition] = {}
        self._held: set[asyncio.Task[None] | None] = set()
        self._moved = asyncio.Event()
        self._settled = asyncio.Event()
        self._commits_fail_since: float | None = None
        self._revoked_at: deque[float] = deque(maxlen=_STORM)
        self._committing = asyncio.Lock()
        self._loop_task: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        labels = (delivery.worker.service, delivery.worker.topic.name)
        self._assigned = metrics.ASSIGNED.labels(*labels)
        self._commits_failed = metrics.COMMITS_FAILED.labels(*labels)

    # -- the consume loop's side -------------------------------------------------------------------

    async def admit(self, record: ConsumerRecord) -> offsets.Partition | None:
        """Wait for a slot and track the record. None: it is finished, runs already, or is not ours now."""
        key = TopicPartition(record.topic, record.partition)
        partition = self._offsets.partitions.get(key)
        if partition is None:
            await self._fetch_again(key)
            return None
        epoch = partition.epoch
        while partition.alive and partition.span >= self._settings.window and not self._refuses:
            self._moved.clear()
            await self._moved.wait()
        await self._slots.acquire()
        if self._refuses or partition.epoch != epoch or not partition.add(record.offset):
            self._slots.release()
            return None
        return partition

    def spawn(
        self, record: ConsumerRecord, partition: offsets.Partition, run: Callable[[], Awaitable[Any]]
    ) -> None:
        """Handle an admitted record in a task of its own; it gives its slot back."""
        task = asyncio.create_task(self._run(record, partition, run))
        self._tasks[task] = TopicPartition(record.topic, record.partition)
        task.add_done_callback(self._forget)

    @property
    def _refuses(self) -> bool:
        return self.closing or self.delivery.stopped is not None

    async def _fetch_again(self, key: TopicPartition) -> None:
        """Have a record delivered again that came while its partition's state was being read."""
        await self._settled.wait()
        consumer = self.consumer()
        if self._offsets.partitions.get(key) is None or consumer is None:
            return
        found = await self._read_committed(self.group_id, [key])
        at = found[key].offset if key in found else -1
        if at >= 0:
            consumer.seek(key, at)
        else:
            await consumer.seek_to_beginning(key)

    async def _run(
        self, record: ConsumerRecord, partition: offsets.Partition, run: Callable[[], Awaitable[Any]]
    ) -> None:
        try:
            ending = await run()
        finally:
            self._slots.release()
        if isinstance(ending, Held):
            if self.closing:
                return
            self._held.add(asyncio.current_task())
            ending = await self.delivery.settle(ending)
        if ending == "done":
            partition.done(record.offset)
        elif self.delivery.stopped is not None and self._leaving is None:
            self._leaving = asyncio.create_task(self._leave())
        self._moved.set()

    async def _leave(self) -> None:
        """Commit what is done and leave the group: others may do better."""
        self._moved.set()
        await self.commit()
        await self.leave()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._held.discard(task)
        self._moved.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("%s lost a task", self.delivery.worker.name, exc_info=error)

    # -- offsets -----------------------------------------------------------------------------------

    async def commit(self) -> None:
        """Commit the watermarks that moved; what fails is offered again."""
        async with self._committing:
            moved = self._offsets.committable()
            consumer = self.consumer()
            if not moved or consumer is None:
                return
            try:
                async with asyncio.timeout(_COMMIT_TIMEOUT_S):
                    await consumer.commit(moved)
            except Exception as error:
                self._offsets.failed(moved)
                self._commits_failed.inc()
                self._commits_fail_since = self._commits_fail_since or time.monotonic()
                log.log(
                    logging.WARNING if is_fault(error) else logging.ERROR,
                    "%s: a commit failed and is repeated: %r",
                    self.delivery.worker.name,
                    error,
                )
            else:
                self._commits_fail_since = None

    def begin(self) -> None:
        """Start to commit, every `commit_interval_s`."""
        self._loop_task = asyncio.create_task(self._commit_forever(), name=f"commits of {self.group_id}")

    async def _commit_forever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.commit_interval_s)
            await self.commit()

    async def drain(self, drain_s: float) -> None:
        """Take no more, finish what runs within `drain_s`, commit; the rest is delivered again."""
        self.closing = True
        self._moved.set()
        self._settled.set()
        running = [task for task in self._tasks if task not in self._held]
        if running:
            await asyncio.wait(running, timeout=drain_s)
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)
        await self.commit()
        rest = [*self._tasks, *([self._leaving] if self._leaving else [])]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    # -- rebalances --------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Give what runs a moment, commit, and park the partitions."""
        self._settled.clear()
        self._count_revocation(bool(revoked))
        running = [task for task, key in self._tasks.items() if key in revoked and task not in self._held]
        if running and not self.closing:
            await asyncio.wait(running, timeout=self._settings.revoke_drain_s)
        await self.commit()
        for key in revoked:
            self._offsets.revoke(key)
        self._assigned.set(0)
        self._moved.set()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Take up each partition where its last owner left it."""
        try:
            found = await self._read_committed(self.group_id, list(assigned)) if assigned else {}
        except Exception as error:
            log.warning("%s: no commit metadata, work may be repeated: %r", self.delivery.worker.name, error)
            found = {}
        for key in assigned:
            at = found.get(key)
            finished = offsets.decode(at.offset, at.metadata or "") if at and at.offset >= 0 else set()
            self._offsets.assign(key, committed=at.offset if at else None, finished=finished)
        self._assigned.set(len(assigned))
        self._settled.set()

    def _count_revocation(self, had_partitions: bool) -> None:
        if not had_partitions or self.closing:
            return
        self._revoked_at.append(time.monotonic())
        if (storm := self._storm()) is not None:
            log.error("%s", storm)

    # -- health ------------------------------------------------------------------------------------

    def complaints(self) -> list[str]:
        """Return why this worker cannot do its work now."""
        name = self.delivery.worker.name
        if self.delivery.stopped is not None:
            return [self.delivery.stopped]
        said = [one for one in (self.delivery.complaint(), self._storm()) if one is not None]
        if not self._settled.is_set():
            said.append(f"{name} waits for its partitions")
        since = self._commits_fail_since
        if since is not None and time.monotonic() - since > _STUCK_S:
            said.append(f"{name} has not been able to commit for {time.monotonic() - since:.0f} s")
        return said

    def _storm(self) -> str | None:
        """Say that somebody else takes the partitions all the time: Kafka ends the one with the same name."""
        times = self._revoked_at
        if len(times) < _STORM or time.monotonic() - times[0] > _STORM_WITHIN_S:
            return None
        return (
            f"{self.delivery.worker.name} lost its partitions {_STORM} times within a minute. Another "
            f"process probably has its name {self._settings.instance!r}: give each its own LABELBUS_INSTANCE."
        )


class OrderedMiddleware:
    """The broker's first middleware: hands every record to its worker's `Intake` and returns at once."""

    def __init__(self) -> None:
        self._intakes: dict[int, Intake] = {}

    def register(self, subscriber: object, intake: Intake) -> None:
        """Tell which intake a FastStream subscriber feeds."""
        self._intakes[id(subscriber)] = intake

    def __call__(self, msg: Any, /, *, context: Any) -> "_PerRecord":
        """Return the middleware of one record, or of one publication (`msg` is None)."""
        intake = None if msg is None else self._intakes.get(id(context.get_local("handler_")))
        return _PerRecord(msg, context=context, intake=intake)


class _PerRecord(BaseMiddleware):
    def __init__(self, msg: Any, /, *, context: Any, intake: Intake | None) -> None:
        super().__init__(msg, context=context)
        self._intake = intake
        self._partition: offsets.Partition | None = None

    async def on_receive(self) -> None:
        """Wait for a slot: meanwhile the consume loop fetches nothing."""
        if self._intake is not None:
            self._partition = await self._intake.admit(self.msg)

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        """Run the rest of the chain in a task; the loop goes on with the next record."""
        if self._intake is None:
            return await call_next(msg)
        if self._partition is not None:
            self._intake.spawn(self.msg, self._partition, lambda: call_next(msg))
        return None


async def _nothing() -> None:
    return None
