"""Topics on a cluster: which are missing, and creating them as the table says."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from labelbus_contracts.topics import Topic

from labelbus_runtime.errors import SettingsError, Unavailable
from labelbus_runtime.kafka.connection import cannot_connect, client_options, is_fault, meaning_of
from labelbus_runtime.settings import KafkaSettings

log = logging.getLogger(__name__)
_ENVELOPE_BYTES = 4096
"""What Kafka adds to a record: batch and record headers."""
_TOPIC_EXISTS = 36


@asynccontextmanager
async def admin_client(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect, for as long as `connect_timeout_s`. Raises `Unavailable` that names the setting."""
    admin = await _connect(settings)
    try:
        yield admin
    finally:
        await admin.close()


async def ensure_topics(topics: Iterable[Topic], settings: KafkaSettings, *, create: bool) -> None:
    """Create what is missing, or raise `SettingsError` naming it when `create` is off."""
    wanted = {settings.topic_prefix + topic.name: topic for topic in topics}
    async with admin_client(settings) as admin:
        there = set(await admin.list_topics())
        missing = sorted(wanted.keys() - there)
        if missing and not create:
            raise SettingsError(
                f"Kafka has no topic {', '.join(missing)}, and LABELBUS_KAFKA_CREATE_TOPICS is off. "
                "Create them with `labelbus topics`, or turn it on."
            )
        if missing:
            await _create(admin, {name: wanted[name] for name in missing}, settings)


async def _create(admin: AIOKafkaAdminClient, topics: dict[str, Topic], settings: KafkaSettings) -> None:
    new = [
        NewTopic(
            name,
            topic.partitions,
            settings.replication_factor,
            topic_configs={
                "retention.ms": str(topic.retention_ms),
                "max.message.bytes": str(topic.max_bytes + _ENVELOPE_BYTES),
            },
        )
        for name, topic in topics.items()
    ]
    response = await admin.create_topics(new)
    for name, code, *text in response.topic_errors:
        if code not in (0, _TOPIC_EXISTS):
            said = text[0] if text and text[0] else f"error {code}"
            raise SettingsError(
                f"Kafka did not create topic {name}: {said}. Check LABELBUS_KAFKA_REPLICATION_FACTOR "
                f"({settings.replication_factor}) and this user's rights, or create it by hand."
            )
    log.info("created topics %s", ", ".join(topics))
    await _await_leaders(admin, sorted(topics))


async def _await_leaders(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """Wait until new topics can be used, which is shortly after they are created; at most 10 s."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while not all(_is_led(topic) for topic in await admin.describe_topics(names)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


def _is_led(topic: dict[str, Any]) -> bool:
    partitions = topic["partitions"]
    return bool(partitions) and all(partition["leader"] >= 0 for partition in partitions)


async def _connect(settings: KafkaSettings) -> AIOKafkaAdminClient:
    deadline = asyncio.get_running_loop().time() + settings.connect_timeout_s
    said = False
    while True:
        admin = AIOKafkaAdminClient(**client_options(settings))
        try:
            with _quiet():
                await admin.start()
        except Exception as error:
            await admin.close()
            if not is_fault(error):
                raise
            if not cannot_connect(error) or asyncio.get_running_loop().time() > deadline:
                raise _unreachable(error, settings) from error
            if not said:
                place, patience_s = settings.bootstrap_servers, settings.connect_timeout_s
                log.warning("Kafka at %s does not answer yet; trying for %g s", place, patience_s)
                said = True
            await asyncio.sleep(0.5)
        else:
            return admin


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep aiokafka from logging every connection that fails: we say it once."""

    def is_wanted(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Unable connect to")

    logger = logging.getLogger("aiokafka")
    logger.addFilter(is_wanted)
    try:
        yield
    finally:
        logger.removeFilter(is_wanted)


def _unreachable(error: Exception, settings: KafkaSettings) -> Unavailable:
    meaning = meaning_of(error, settings)
    return meaning if isinstance(meaning, Unavailable) else Unavailable(str(meaning))
