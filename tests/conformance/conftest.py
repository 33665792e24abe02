"""One stage for every carrier: a carrier, small topics, an observer of the answers, dead letters."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from labelbus_contracts.ids import JobId, MessageId, ProjectId, SampleId, SecretName
from labelbus_contracts.topics import COMMITS, DEAD_LETTERS, EVENTS, JOBS, WRITES, Topic, label_topic
from labelbus_contracts.v1.commands import LabelSample
from labelbus_contracts.v1.events import SampleSkipped
from labelbus_contracts.v1.message import Message
from labelbus_runtime.codec import Record
from labelbus_runtime.embedded import EmbeddedCarrier
from labelbus_runtime.kafka import KafkaCarrier
from labelbus_runtime.settings import KafkaSettings
from labelbus_runtime.worker import Carrier, Handler, RetryPolicy, Worker

LABEL = replace(label_topic("test"), partitions=2)
SMALL = [LABEL, *(replace(topic, partitions=2) for topic in (JOBS, EVENTS, WRITES, COMMITS, DEAD_LETTERS))]
QUICK = RetryPolicy(attempts=3, first_s=0.005, most_s=0.01)


@dataclass(frozen=True)
class Letter:
    """A dead letter, however the carrier keeps it."""

    reason: str
    topic: str
    attempts: int
    value: bytes
    traceback: str


class Stage(Protocol):
    """What the suite asks of a carrier's surroundings."""

    name: str

    def new_carrier(self) -> Carrier:
        """Return a carrier on the same topics; the stage stops it at the end."""

    async def send_bytes(self, record: Record) -> None:
        """Publish bytes as a foreign producer would."""

    async def letters(self) -> Sequence[Letter]:
        """Return the dead letters so far."""


class EmbeddedStage:
    """Queues in this process."""

    name = "embedded"

    def __init__(self) -> None:
        self.carriers: list[EmbeddedCarrier] = []

    def new_carrier(self) -> EmbeddedCarrier:
        self.carriers.append(EmbeddedCarrier(source="test"))
        return self.carriers[-1]

    async def send_bytes(self, record: Record) -> None:
        self.carriers[-1].publish_record(record)

    async def letters(self) -> Sequence[Letter]:
        found = [letter for c in self.carriers for letter in c.dead_letters.letters]  # type: ignore[attr-defined]
        return [Letter(x.reason, x.record.topic, x.attempts, x.record.value, x.traceback) for x in found]

    async def close(self) -> None:
        for carrier in self.carriers:
            await carrier.stop(drain_s=0)


class KafkaStage:
    """A real broker; each stage has a prefix of its own."""

    name = "kafka"

    def __init__(self, bootstrap_servers: str) -> None:
        self.settings = KafkaSettings(
            bootstrap_servers=bootstrap_servers,
            topic_prefix=f"t{secrets.token_hex(4)}.",
            commit_interval_s=0.05,
            revoke_drain_s=0.2,
        )
        self.carriers: list[KafkaCarrier] = []
        self._consumer: AIOKafkaConsumer | None = None
        self._letters: list[Letter] = []

    async def open(self) -> None:
        await KafkaCarrier(self.settings, source="test").create_topics(SMALL)

    def new_carrier(self, **changes: Any) -> KafkaCarrier:
        settings = self.settings.model_copy(update=changes)
        self.carriers.append(KafkaCarrier(settings, source="test"))
        return self.carriers[-1]

    async def send_bytes(self, record: Record) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.settings.bootstrap_servers)
        await producer.start()
        headers = [(name, value.encode()) for name, value in record.headers.items()]
        topic = self.settings.topic_prefix + record.topic
        await producer.send_and_wait(topic, record.value, key=record.key or None, headers=headers)
        await producer.stop()

    async def letters(self) -> Sequence[Letter]:
        if self._consumer is None:
            self._consumer = AIOKafkaConsumer(
                self.settings.topic_prefix + DEAD_LETTERS.name,
                bootstrap_servers=self.settings.bootstrap_servers,
                auto_offset_reset="earliest",
            )
            await self._consumer.start()
        for records in (await self._consumer.getmany(timeout_ms=100)).values():
            self._letters += [self._letter(record) for record in records]
        return self._letters

    def _letter(self, record: Any) -> Letter:
        headers = {name: value.decode() for name, value in record.headers}
        topic = headers["labelbus_origin"].split("/")[0]
        return Letter(
            headers["labelbus_reason"],
            topic,
            int(headers["labelbus_attempts"]),
            record.value,
            headers["labelbus_traceback"],
        )

    async def close(self) -> None:
        for carrier in self.carriers:
            with suppress(Exception):
                await carrier.stop(drain_s=0)
        if self._consumer is not None:
            await self._consumer.stop()


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """Return the stage of each carrier in turn."""
    if request.param == "embedded":
        embedded = EmbeddedStage()
        yield embedded
        await embedded.close()
        return
    kafka = KafkaStage(request.getfixturevalue("real_kafka").bootstrap_servers)
    await kafka.open()
    yield kafka
    await kafka.close()


@pytest.fixture
def kafka_stage(real_kafka: Any) -> Callable[[], Awaitable[KafkaStage]]:
    """Return a maker of Kafka's stage."""

    async def make() -> KafkaStage:
        kafka = KafkaStage(real_kafka.bootstrap_servers)
        await kafka.open()
        return kafka

    return make


class Play:
    """A running carrier with the worker under test, and an observer of all answers."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.answers: list[Message] = []
        self.carrier = stage.new_carrier()

    async def start(self, handle: Handler, *, topic: Topic = LABEL, **options: Any) -> None:
        """Mount the handler and the observer, and start."""
        self.carrier.mount(worker(handle, topic=topic, **options))
        for observed in (EVENTS, COMMITS):
            if observed.name != topic.name:
                self.carrier.mount(Worker("observer", observed, self._observe, group="observer"))
        await self.carrier.start()

    async def publish(self, *messages: Message) -> None:
        await self.carrier.publish(messages)

    async def _observe(self, message: Message) -> Sequence[Message]:
        self.answers.append(message)
        return ()


@pytest.fixture
def play(stage: Stage) -> Play:
    """Return a carrier to be started with a handler."""
    return Play(stage)


def worker(handle: Handler, *, topic: Topic = LABEL, **options: Any) -> Worker:
    return Worker("test", topic, handle, group="test", **{"retry": QUICK, "concurrency": 16, **options})


def command(sample_id: int, attempt: int = 1) -> LabelSample:
    return LabelSample(
        id=MessageId(f"label_sample:job:1:{sample_id}:0:{attempt}"),
        job_id=JobId("job"),
        project_id=ProjectId(7),
        sample_id=SampleId(sample_id),
        attempt=attempt,
        secret=SecretName("env:KEY"),
        labeler="test",
    )


def skipped(message: LabelSample, reason: str = "done") -> SampleSkipped:
    return SampleSkipped(
        id=MessageId(f"sample_skipped:job:1:{message.sample_id}:0:1"),
        job_id=message.job_id,
        project_id=message.project_id,
        sample_id=message.sample_id,
        labeler="test",
        reason=reason,
    )


@pytest.fixture
def make() -> Any:
    """Return the makers of messages and workers: `make.command(1)`, `make.skipped(message)`."""
    return _Makers


class _Makers:
    command = staticmethod(command)
    skipped = staticmethod(skipped)
    worker = staticmethod(worker)
    LABEL = LABEL
