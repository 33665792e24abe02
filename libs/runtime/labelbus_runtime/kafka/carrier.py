"""`KafkaCarrier`: one FastStream broker, one consumer group per worker and topic."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Any, Final

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka import Topic as KafkaTopic
from faststream.kafka.prometheus import KafkaPrometheusMiddleware
from labelbus_contracts.topics import DEAD_LETTERS, FIXED_TOPICS, MAX_DEAD_LETTER_BYTES, Topic
from labelbus_contracts.v1.message import Message
from prometheus_client import CollectorRegistry

from labelbus_runtime import metrics
from labelbus_runtime.codec import Record, encode
from labelbus_runtime.dead_letters import DeadLetter, DeadLetterSink
from labelbus_runtime.delivery import TRACEPARENT, Delivery, Ending, Held
from labelbus_runtime.errors import SettingsError
from labelbus_runtime.health import Readiness
from labelbus_runtime.kafka.connection import is_fault, meaning_of, security_of
from labelbus_runtime.kafka.intake import Committed, Intake, OrderedMiddleware
from labelbus_runtime.kafka.topics import ensure_topics
from labelbus_runtime.kafka.tracing import Tracing
from labelbus_runtime.settings import KafkaSettings
from labelbus_runtime.worker import Worker

log = logging.getLogger(__name__)
_CHUNK: Final = 1_000
"""Records that one `publish` has unacknowledged at a time."""


class KafkaCarrier:
    """A `Carrier` on Kafka. Without a mounted worker it only publishes.

    `topics` are those it publishes to beyond the fixed ones: they are created like the ones it reads, since
    nobody may have started a reader yet.

    `broker` is FastStream's, for `app_for`; `registry` has its metrics and ours. Dead letters go to their
    topic unless a sink is given.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        source: str,
        dead_letters: DeadLetterSink | None = None,
        topics: Iterable[Topic] = (),
    ) -> None:
        self.settings = settings
        self._topics = tuple(topics)
        self._source = source
        self._dead_letters = dead_letters or _DeadLetterTopic(self._publish_records)
        self._ordered = OrderedMiddleware()
        self.registry = CollectorRegistry()
        self.registry.register(metrics.REGISTRY)
        self._intakes: list[Intake] = []
        self._running = False
        self._tracing = Tracing(source) if settings.tracing else None
        self.broker = KafkaBroker(
            settings.bootstrap_servers.split(","),
            client_id=f"labelbus-{source}",
            acks="all",
            enable_idempotence=True,
            compression_type=None if settings.compression == "none" else settings.compression,
            linger_ms=0,
            max_batch_size=64 * 1024,
            max_request_size=MAX_DEAD_LETTER_BYTES + 64 * 1024,
            request_timeout_ms=_ms(settings.request_timeout_s),
            metadata_max_age_ms=30_000,
            allow_auto_create_topics=True,
            security=security_of(settings),
            middlewares=self._middlewares(),
            ack_policy=AckPolicy.MANUAL,
            apply_types=False,
            logger=log,
            log_level=logging.DEBUG,
        )

    async def create_topics(self, topics: Iterable[Topic] = FIXED_TOPICS) -> None:
        """Create what is missing, with the table's partitions, retention and record size."""
        await ensure_topics(topics, self.settings, create=True)

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish, and return once all replicas have all of it. Raises `Unavailable`, `InvalidMessage`."""
        traceparent = TRACEPARENT.get()
        records = [encode(message, source=self._source, traceparent=traceparent) for message in messages]
        await self._publish_records(records)

    def mount(self, worker: Worker) -> None:
        """Register a worker; before `start`. Raises `SettingsError` for a second one of a topic and group."""
        group_id = self.group_id(worker)
        if any(intake.group_id == group_id for intake in self._intakes):
            raise SettingsError(f"{worker.name}: group {worker.group} is mounted already. Mount it once.")
        delivery = Delivery(worker, publish=self.publish, dead_letters=self._dead_letters)
        intake = Intake(delivery, self.settings, group_id=group_id, read_committed=self._read_committed)
        subscriber = self.broker.subscriber(
            KafkaTopic(self.settings.topic_prefix + worker.topic.name, declare=False),
            title=worker.name,
            **self._subscription(worker, intake),
        )
        subscriber(_handler(worker.topic, delivery), parser=_parse, decoder=self._decode)
        intake.consumer = lambda: subscriber.consumer
        intake.leave = subscriber.stop
        self._ordered.register(subscriber, intake)
        self._intakes.append(intake)

    def group_id(self, worker: Worker) -> str:
        """Return Kafka's group: one per worker and topic, so that a rebalance concerns one topic."""
        return f"{self.settings.topic_prefix}{worker.group}.{worker.topic.name}"

    async def start(self) -> None:
        """Check or create the topics, connect, and begin to deliver."""
        await self.prepare()
        await self.broker.start()
        await self.begin()

    async def stop(self, *, drain_s: float = 15.0) -> None:
        """Take no more, finish what runs within `drain_s`, commit, leave."""
        await self.drain(drain_s=drain_s)
        await self.broker.stop()

    async def prepare(self) -> None:
        """Do what comes before the broker starts. Raises `Unavailable`, `SettingsError`."""
        topics = [*FIXED_TOPICS, *self._topics, *(intake.delivery.worker.topic for intake in self._intakes)]
        await ensure_topics(topics, self.settings, create=self.settings.create_topics)

    async def begin(self) -> None:
        """Do what comes after the broker started."""
        for intake in self._intakes:
            intake.begin()
        self._running = True

    async def drain(self, *, drain_s: float = 15.0) -> None:
        """Do what comes before the broker stops."""
        self._running = False
        await asyncio.gather(*(intake.drain(drain_s) for intake in self._intakes))
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)

    def ready(self) -> Readiness:
        """Tell whether every worker has its partitions, commits, and has not stopped."""
        complaints = [] if self._running else ["not started, or stopping"]
        for intake in self._intakes:
            complaints += intake.complaints()
        return Readiness(tuple(complaints))

    @property
    def stopped_workers(self) -> Mapping[str, str]:
        """Return the workers that stopped because they only fail, by name, with the reason."""
        deliveries = [intake.delivery for intake in self._intakes]
        return {d.worker.name: d.stopped for d in deliveries if d.stopped is not None}

    def _middlewares(self) -> list[Any]:
        metered = KafkaPrometheusMiddleware(registry=self.registry, app_name=self._source)
        return [self._ordered, metered, *([self._tracing.middleware] if self._tracing else [])]

    def _subscription(self, worker: Worker, intake: Intake) -> dict[str, Any]:
        s = self.settings
        instance = None if s.instance is None else f"{s.instance}.{intake.group_id}"
        return {
            "group_id": intake.group_id,
            "group_instance_id": instance,
            "listener": intake,
            "auto_offset_reset": "earliest",
            "partition_assignment_strategy": (StickyPartitionAssignor,),
            "session_timeout_ms": _ms(s.session_timeout_s),
            "heartbeat_interval_ms": _ms(min(1.0, s.session_timeout_s / 3)),
            "rebalance_timeout_ms": _ms(s.rebalance_timeout_s),
            "max_poll_interval_ms": _ms(s.max_poll_interval_s),
            "max_partition_fetch_bytes": 256 * 1024,
            "no_reply": True,
        }

    async def _publish_records(self, records: Sequence[Record]) -> None:
        for start in range(0, len(records), _CHUNK):
            chunk = records[start : start + _CHUNK]
            try:  # aiokafka itself would wait for an absent broker for ever
                async with asyncio.timeout(self.settings.request_timeout_s):
                    acknowledgements = [await self._send(record) for record in chunk]
                    outcomes = await asyncio.gather(*acknowledgements, return_exceptions=True)
            except Exception as error:
                if not is_fault(error):
                    raise
                raise meaning_of(error, self.settings) from error
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    if not is_fault(outcome) or not isinstance(outcome, Exception):
                        raise outcome
                    raise meaning_of(outcome, self.settings) from outcome
            for record in chunk:
                metrics.PUBLISHED.labels(record.topic).inc()

    async def _send(self, record: Record) -> "asyncio.Future[Any]":
        sent: asyncio.Future[Any] = await self.broker.publish(
            record.value,
            self.settings.topic_prefix + record.topic,
            key=record.key or None,
            headers=dict(record.headers),
            no_confirm=True,
        )
        return sent

    async def _read_committed(self, group_id: str, partitions: list[TopicPartition]) -> Committed:
        found: Committed = await self.broker.config.admin_client.list_consumer_group_offsets(
            group_id, partitions=partitions
        )
        return found

    async def _decode(self, message: Any) -> Record:
        raw: ConsumerRecord = message.raw_message
        return Record(
            topic=raw.topic.removeprefix(self.settings.topic_prefix),
            value=raw.value or b"",
            key=raw.key or b"",
            headers=message.headers,
            partition=raw.partition,
            offset=raw.offset,
        )


class _DeadLetterTopic:
    """The `DeadLetterSink` of Kafka: the original bytes with headers that say what happened."""

    def __init__(self, publish: Callable[[Sequence[Record]], Any]) -> None:
        self._publish = publish

    async def store(self, letter: DeadLetter) -> None:
        """Publish, and return once it is acknowledged."""
        log.error("dead letter of %s: %s", letter.record.topic, letter.reason)
        await self._publish([replace(letter.record, topic=DEAD_LETTERS.name, headers=letter.headers())])


def _handler(topic: Topic, delivery: Delivery) -> Callable[[Any], Any]:
    """Return the function FastStream calls; its annotation is the payload that AsyncAPI shows."""

    async def handle(record: Record) -> Ending | Held:
        return await delivery.deliver(record)

    handle.__name__ = f"{delivery.worker.service}_{topic.name}".replace(".", "_").replace("-", "_")
    handle.__doc__ = f"{', '.join(model.__name__ for model in topic.messages)}."
    handle.__annotations__ = {"record": reduce(or_, topic.messages)} if topic.messages else {}
    return handle


async def _parse(raw: ConsumerRecord, parse: Callable[[ConsumerRecord], Any]) -> Any:
    """Parse, whatever bytes a foreign producer put into the headers."""
    try:
        return await parse(raw)
    except (UnicodeDecodeError, AttributeError):
        headers = tuple(
            (name, (value or b"").decode(errors="replace").encode()) for name, value in raw.headers
        )
        return await parse(replace(raw, headers=headers))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
