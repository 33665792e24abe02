"""What nobody can read, on every topic of a cluster that goes on working."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from labelbus_contracts.topics import DEAD_LETTERS, FIXED_TOPICS, label_topic

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]
READ = (*(topic for topic in FIXED_TOPICS if topic is not DEAD_LETTERS), label_topic("owl-vit"))
READERS = {"labelbus.events.v1": 2}  # the dispatcher and the committer; every other topic has one
GARBAGE = b"\xff\x00{ no message"
FUTURE = b'{"kind": "from_the_future", "id": "x"}'
UNKNOWN = b'{"kind": "never_heard_of", "id": "y"}'
LATER = [("ce_dataschema", b"urn:labelbus:v2")]


def test_rubbish_on_any_topic_is_put_aside(cluster: Any) -> None:
    """Bytes, a later version, an unknown command: dead-lettered as they came. Unknown events are skipped."""
    cluster.need("dispatcher", "detector", "committer")
    cluster.until_ready("dispatcher-1", "detector-1", "committer-1")
    prefix, servers = cluster.environ["LABELBUS_KAFKA_TOPIC_PREFIX"], cluster.broker.bootstrap_servers
    asyncio.run(send(servers, [prefix + topic.name for topic in READ]))
    expected = sorted(
        (topic.name, value)
        for topic in READ
        for value in (GARBAGE, FUTURE, *([UNKNOWN] if topic.commands else []))
        for _ in range(READERS.get(topic.name, 1))
    )
    found = asyncio.run(letters(servers, prefix + DEAD_LETTERS.name, len(expected)))
    assert sorted((origin.removeprefix(prefix), value) for origin, value in found) == expected
    ids = cluster.project.add_images(3, seed=77)
    cluster.watch(cluster.submit(ids, "--apply"))
    cluster.until_ready("dispatcher-1", "detector-1", "committer-1")


async def send(servers: str, topics: Sequence[str]) -> None:
    """Publish one of each on every topic, as a foreign producer would."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    for topic in topics:
        await producer.send_and_wait(topic, GARBAGE)
        await producer.send_and_wait(topic, FUTURE, headers=LATER)
        await producer.send_and_wait(topic, UNKNOWN)
    await producer.stop()


async def letters(servers: str, topic: str, count: int) -> list[tuple[str, bytes]]:
    """Return origin and bytes of the dead letters, once there are so many."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    found: list[tuple[str, bytes]] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [(origin(record), record.value) for record in records]
    await consumer.stop()
    return found


def origin(record: Any) -> str:
    """Return the topic that a dead letter came from."""
    headers: dict[str, str] = {name: value.decode() for name, value in record.headers}
    return headers["labelbus_origin"].split("/")[0]
