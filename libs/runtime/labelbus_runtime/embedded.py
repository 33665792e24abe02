"""The carrier of one process: an unbounded queue per topic and group, every message as bytes.

Nothing survives the process; durability comes from the ledger, which sends again what was in flight.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from contextvars import Context
from functools import lru_cache
from typing import Final, TypeAlias

from labelbus_contracts.topics import topic_of
from labelbus_contracts.v1.message import Message
from prometheus_client import Counter

from labelbus_runtime import metrics
from labelbus_runtime.codec import Record, decode, encode
from labelbus_runtime.dead_letters import DeadLetterSink, MemoryDeadLetters
from labelbus_runtime.delivery import TRACEPARENT, Delivery, Held
from labelbus_runtime.errors import SettingsError, Unavailable
from labelbus_runtime.health import Readiness
from labelbus_runtime.worker import Worker

log = logging.getLogger(__name__)
_Waiting: TypeAlias = tuple[Record, Message | None]
_TURN: Final = 32
"""Records that one task handles before it lets the others run, where no handler waits for anything."""


class EmbeddedCarrier:
    """A `Carrier` of queues. Messages for which nobody is mounted are forgotten.

    Mount everything, then publish: what is published before `start` waits for it.
    """

    def __init__(self, *, dead_letters: DeadLetterSink | None = None, source: str = "labelbus") -> None:
        self.dead_letters = dead_letters or MemoryDeadLetters()
        self._source = source
        self._queues: dict[str, list[_Queue]] = {}
        self._closed = False

    async def publish(self, messages: Sequence[Message]) -> None:
        """Enqueue; handlers run later, in tasks of their own. Nothing is enqueued if one is too large."""
        if self._closed:
            raise Unavailable("The embedded carrier has stopped. Start a new process to go on.")
        traceparent = TRACEPARENT.get()
        records = [encode(message, source=self._source, traceparent=traceparent) for message in messages]
        for record, message in zip(records, messages, strict=True):
            queues = self._queues.get(record.topic)
            self._enqueue(record, decode(topic_of(message), record) if queues else None)

    def publish_record(self, record: Record) -> None:
        """Enqueue bytes as they are, as a foreign producer would."""
        self._enqueue(record, None)

    def _enqueue(self, record: Record, message: Message | None) -> None:
        _published(record.topic).inc()
        for queue in self._queues.get(record.topic, ()):
            queue.put(record, message)

    def mount(self, worker: Worker) -> None:
        """Register a worker. Raises `SettingsError` for a second one of the same topic and group."""
        queues = self._queues.setdefault(worker.topic.name, [])
        if any(queue.delivery.worker.group == worker.group for queue in queues):
            raise SettingsError(f"{worker.name}: group {worker.group} is mounted already. Mount it once.")
        queues.append(_Queue(Delivery(worker, publish=self.publish, dead_letters=self.dead_letters)))

    async def start(self) -> None:
        """Begin to deliver."""
        for queue in self._all():
            queue.open()

    async def stop(self, *, drain_s: float = 15.0) -> None:
        """Take no more commands, let what runs finish and its events be handled, cancel the rest.

        All within `drain_s`. Events die with the process, and with them the work that they tell of.
        """
        for queue in self._all():
            queue.is_open = queue.is_open and not queue.delivery.worker.topic.commands
        try:
            async with asyncio.timeout(drain_s):
                while running := [task for queue in self._all() for task in queue.running]:
                    await asyncio.wait(running)
        except TimeoutError:
            pass
        self._closed = True
        for queue in self._all():
            queue.is_open = False
        tasks = [task for queue in self._all() for task in (*queue.running, *queue.holding)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def ready(self) -> Readiness:
        """Tell whether every worker takes messages."""
        complaints = [said for queue in self._all() if (said := queue.delivery.complaint()) is not None]
        complaints += [f"{q.delivery.worker.name} is not started" for q in self._all() if not q.is_open]
        return Readiness(tuple(complaints))

    @property
    def stopped_workers(self) -> Mapping[str, str]:
        """Return the workers that stopped because they only fail, by name, with the reason."""
        deliveries = [queue.delivery for queue in self._all()]
        return {d.worker.name: d.stopped for d in deliveries if d.stopped is not None}

    @property
    def unfinished(self) -> int:
        """Return how many messages wait, run or are held."""
        return sum(queue.unfinished for queue in self._all())

    def _all(self) -> list["_Queue"]:
        return [queue for queues in self._queues.values() for queue in queues]


@lru_cache
def _published(topic: str) -> Counter:
    return metrics.PUBLISHED.labels(topic)


class _Queue:
    """The records of one worker. Tasks exist only while there is work, at most `concurrency` of them."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.is_open = False
        self.running: set[asyncio.Task[None]] = set()
        self.holding: set[asyncio.Task[None]] = set()
        self._waiting: deque[_Waiting] = deque()
        self._busy = 0
        self._takers = 0

    @property
    def unfinished(self) -> int:
        return len(self._waiting) + self._busy + len(self.holding)

    def open(self) -> None:
        self.is_open = True
        for _ in range(min(len(self._waiting), self.delivery.worker.concurrency)):
            self._add_task()

    def put(self, record: Record, message: Message | None) -> None:
        """Enqueue a record with the message that it says; None for one that nobody has decoded."""
        self._waiting.append((record, message))
        if self._takes and self._takers < self.delivery.worker.concurrency:
            self._add_task()

    @property
    def _takes(self) -> bool:
        return self.is_open and self.delivery.stopped is None

    def _add_task(self) -> None:
        self._takers += 1
        self._keep(self.running, self._run())

    async def _run(self) -> None:
        turn = 0
        try:
            while self._waiting and self._takes:
                await self._deliver(self._waiting.popleft())
                turn += 1
                if turn % _TURN == 0:
                    await asyncio.sleep(0)
        finally:
            self._takers -= 1

    async def _deliver(self, waiting: _Waiting) -> None:
        self._busy += 1
        try:
            ending = await self.delivery.deliver(*waiting)
        finally:
            self._busy -= 1
        if isinstance(ending, Held):
            self._keep(self.holding, self._settle(ending))
        elif ending == "undelivered":
            self._waiting.appendleft(waiting)

    async def _settle(self, held: Held) -> None:
        if await self.delivery.settle(held) == "undelivered":
            self._waiting.appendleft((held.record, held.message))

    def _keep(self, tasks: set[asyncio.Task[None]], work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, context=Context())
        tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        self.holding.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("the embedded carrier lost a task", exc_info=error)
