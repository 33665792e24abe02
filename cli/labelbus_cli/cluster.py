"""Reach a cluster: by Kafka, or by the dispatcher's HTTP API where LABELBUS_URL names it."""

import os
from collections.abc import Sequence

from labelbus_contracts.v1.message import Message
from labelbus_runtime.settings import KafkaSettings, load

from labelbus_cli.errors import BadInput, CommandError

_TIMEOUT_S = 60.0


async def publish(messages: Sequence[Message]) -> None:
    """Send commands about jobs to the cluster. Raises `Unavailable`, `CommandError`."""
    if os.environ.get("LABELBUS_URL"):
        await _post(messages)
        return
    from labelbus_runtime.kafka import KafkaCarrier

    carrier = KafkaCarrier(load(KafkaSettings), source="cli")
    await carrier.start()
    try:
        await carrier.publish(messages)
    finally:
        await carrier.stop()


async def create_topics(labelers: Sequence[str]) -> None:
    """Create the topics that a cluster needs, those of the given labelers included."""
    from labelbus_contracts.topics import FIXED_TOPICS, label_topic
    from labelbus_runtime.kafka import KafkaCarrier

    carrier = KafkaCarrier(load(KafkaSettings), source="cli")
    await carrier.create_topics([*FIXED_TOPICS, *map(label_topic, labelers)])


async def _post(messages: Sequence[Message]) -> None:
    import httpx

    url, token = os.environ["LABELBUS_URL"].rstrip("/"), os.environ.get("LABELBUS_TOKEN", "").strip()
    if not token:
        raise BadInput("Missing LABELBUS_TOKEN. `labelbus tokens create NAME` makes one for LABELBUS_URL.")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(headers=headers, timeout=_TIMEOUT_S) as client:
        for message in messages:
            try:
                answer = await client.post(f"{url}/v1/commands", content=message.model_dump_json())
            except httpx.HTTPError as error:
                raise CommandError(f"{url} does not answer: {error}. Check LABELBUS_URL.") from error
            if answer.status_code in (401, 403):
                raise BadInput(f"{url} refuses the token in LABELBUS_TOKEN.")
            if answer.is_error:
                raise CommandError(f"{url} answers {answer.status_code}: {answer.text[:500]}")
