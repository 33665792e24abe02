"""What only Kafka promises: crashes of workers and of the broker, groups, topics."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from labelbus_contracts.topics import EVENTS, FIXED_TOPICS, JOBS
from labelbus_contracts.v1.message import Message
from labelbus_runtime.codec import encode
from labelbus_runtime.delivery import TRACEPARENT
from labelbus_runtime.errors import SettingsError, Unavailable
from labelbus_runtime.kafka import KafkaCarrier, app_for, documentation
from labelbus_runtime.kafka.topics import admin_client
from labelbus_runtime.settings import KafkaSettings
from labelbus_runtime.testing import run_until
from labelbus_runtime.worker import Worker

pytestmark = pytest.mark.kafka
WORKER = Path(__file__).with_name("kafka_worker.py")


@pytest.fixture(params=["kafka"])
async def stage(request: pytest.FixtureRequest, kafka_stage: Callable[[], Any]) -> AsyncIterator[Any]:
    """Return Kafka's stage only."""
    made = await kafka_stage()
    yield made
    await made.close()


@pytest.fixture
async def answers(stage: Any) -> list[int]:
    """Return the samples answered so far, repetitions included, seen by a carrier of their own."""
    seen: list[int] = []

    async def observe(message: Any) -> list[Message]:
        seen.append(message.sample_id)
        return []

    carrier = stage.new_carrier()
    carrier.mount(Worker("observer", EVENTS, observe, group="observer"))
    await carrier.start()
    return seen


def start_worker(stage: Any, log: Path, instance: str) -> "subprocess.Popen[bytes]":
    settings = stage.settings
    arguments = [settings.bootstrap_servers, settings.topic_prefix, str(log), instance]
    return subprocess.Popen([sys.executable, str(WORKER), *arguments])


def ended(log: Path) -> Counter[str]:
    lines = log.read_text().splitlines() if log.exists() else []
    return Counter(line.removeprefix("end ") for line in lines if line.startswith("end "))


async def test_a_killed_worker_loses_nothing(
    stage: Any, make: Any, answers: list[int], tmp_path: Path
) -> None:
    """Killed in mid-work, its heir of the same name finishes every message and repeats few."""
    log = tmp_path / "log"
    producer = stage.new_carrier()
    await producer.start()
    await producer.publish([make.command(number) for number in range(1, 1001)])
    first = start_worker(stage, log, "one")
    await run_until(lambda: ended(log).total() > 200, within_s=30)
    first.kill()
    first.wait()
    before = ended(log).total()
    second = start_worker(stage, log, "one")
    try:
        await run_until(lambda: set(answers) == set(range(1, 1001)), within_s=40)
    finally:
        second.kill()
        second.wait()
    assert before < 1000
    assert ended(log).total() - 1000 <= 150, "finished work was repeated"


async def test_members_come_and_go(stage: Any, make: Any, answers: list[int]) -> None:
    """Rebalances between three members, one of which is cut off, lose nothing."""

    async def handle(message: Any) -> list[Message]:
        await asyncio.sleep(0.02)
        return [make.skipped(message)]

    members = [stage.new_carrier(instance=name) for name in ("a", "b", "c")]
    for member in members:
        member.mount(make.worker(handle, concurrency=4))
    await members[0].start()
    await members[0].publish([make.command(number) for number in range(600)])
    await run_until(lambda: len(answers) > 50, within_s=20)
    await members[1].start()
    await run_until(lambda: len(answers) > 200, within_s=20)
    await members[2].start()
    await members[0].stop(drain_s=0)
    await run_until(lambda: set(answers) == set(range(600)), within_s=40)


async def test_a_partition_that_comes_straight_back_is_adopted(stage: Any, make: Any) -> None:
    """When another member joins, what runs on the partitions that stay is not started again."""
    begun: list[Counter[int]] = [Counter(), Counter()]
    release = asyncio.Event()

    def handler(member: int) -> Any:
        async def handle(message: Any) -> list[Message]:
            begun[member][message.sample_id] += 1
            await release.wait()
            return []

        return handle

    members = [stage.new_carrier(instance=name) for name in ("a", "b")]
    for number, member in enumerate(members):
        member.mount(make.worker(handler(number), concurrency=50))
    await members[0].start()
    await members[0].publish([make.command(number) for number in range(40)])
    await run_until(lambda: len(begun[0]) == 40, within_s=20)
    await members[1].start()
    await run_until(lambda: begun[1], within_s=20)
    kept = len(begun[0]) - len(begun[1])
    assert kept > 0
    await run_until(lambda: members[0].ready().ready, within_s=20)
    assert max(begun[0].values()) == 1
    release.set()
    await members[0].stop()
    await members[1].stop()


@pytest.mark.timeout(300)
async def test_a_restart_of_the_broker_is_waited_out(
    stage: Any, make: Any, answers: list[int], real_kafka: Any
) -> None:
    """Killed for longer than a request may take, the broker finds every message and every result again."""
    begun: set[int] = set()

    async def handle(message: Any) -> list[Message]:
        begun.add(message.sample_id)
        await asyncio.sleep(0.05)
        return [make.skipped(message)]

    carrier = stage.new_carrier(request_timeout_s=2.0)
    carrier.mount(make.worker(handle, concurrency=8))
    await carrier.start()
    await carrier.publish([make.command(number) for number in range(300)])
    await run_until(lambda: len(begun) > 60, within_s=20)
    await asyncio.to_thread(real_kafka.kill)
    with pytest.raises(Unavailable, match="KAFKA_BOOTSTRAP_SERVERS"):
        await carrier.publish([make.command(1_000)])
    assert len(begun) < 300
    await asyncio.to_thread(real_kafka.start)
    await run_until(lambda: set(range(300)) <= set(answers), within_s=120)
    assert await stage.letters() == []


async def test_a_carrier_without_workers_publishes(stage: Any, make: Any, answers: list[int]) -> None:
    """What only submits needs no group."""
    producer = stage.new_carrier()
    await producer.start()
    assert producer.ready().ready
    await producer.publish([make.skipped(make.command(3))])
    await run_until(lambda: answers == [3])


async def test_topics_are_made_as_the_table_says(stage: Any) -> None:
    """Partitions come from the table; what exists is left alone."""
    settings = stage.settings.model_copy(update={"topic_prefix": stage.settings.topic_prefix + "full."})
    carrier = KafkaCarrier(settings, source="test")
    await carrier.create_topics([JOBS])
    await carrier.create_topics([JOBS])
    async with admin_client(settings) as admin:
        (topic,) = await admin.describe_topics([settings.topic_prefix + JOBS.name])
    assert len(topic["partitions"]) == JOBS.partitions


async def test_a_missing_topic_is_named_when_creation_is_off(stage: Any) -> None:
    """The error says which topic, and how to make it."""
    settings = stage.settings.model_copy(update={"topic_prefix": "nowhere.", "create_topics": False})
    with pytest.raises(SettingsError, match=r"nowhere\.labelbus\.jobs\.v1.*LABELBUS_KAFKA_CREATE_TOPICS"):
        await KafkaCarrier(settings, source="test").start()


async def test_an_app_says_whether_it_is_ready(stage: Any, make: Any) -> None:
    """/live, /ready and /metrics answer; a worker without partitions is not ready."""

    async def handle(message: Any) -> list[Message]:
        return []

    carrier = stage.new_carrier()
    app = app_for(carrier, [make.worker(handle)], title="test")
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        assert (await client.get("/ready")).status_code == 503
        async with app.start_lifespan_context():
            await run_until(lambda: carrier.ready().ready)
            assert (await client.get("/ready")).text == "ready\n"
            assert (await client.get("/live")).status_code == 200
            metrics = (await client.get("/metrics")).text
    assert "labelbus_messages_handled" in metrics
    assert "faststream_received_messages" in metrics
    assert not carrier.ready().ready


async def test_a_trace_goes_on_through_the_results(stage: Any, make: Any) -> None:
    """A result carries the trace context of the message that it came from."""
    parents: list[str | None] = []

    async def handle(message: Any) -> list[Message]:
        return [make.skipped(message)]

    async def observe(message: Any) -> list[Message]:
        parents.append(TRACEPARENT.get())
        return []

    carrier = stage.new_carrier()
    carrier.mount(make.worker(handle))
    carrier.mount(Worker("observer", EVENTS, observe, group="observer"))
    await carrier.start()
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    record = encode(make.command(1), source="test", traceparent=traceparent)
    await stage.send_bytes(record)
    await run_until(lambda: parents)
    assert parents == [traceparent]


async def test_an_unreachable_broker_is_named_with_its_setting() -> None:
    """The text says where we looked and which variable to change."""
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1", connect_timeout_s=0.1)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 .*KAFKA_BOOTSTRAP_SERVERS"):
        await KafkaCarrier(settings, source="test").start()


async def test_the_document_lists_every_topic_with_its_payload() -> None:
    """AsyncAPI names every topic, and every message of the table has a schema."""
    document = documentation.schema.to_specification().to_jsonable()
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert {topic.name for topic in FIXED_TOPICS} <= addresses
    assert "labelbus.label.labeler.v1" in addresses
    schemas = document["components"]["schemas"]
    assert {model.__name__ for topic in FIXED_TOPICS for model in topic.messages} <= schemas.keys()
