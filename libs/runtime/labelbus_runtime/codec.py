"""Messages to records and back: CloudEvents attributes in the headers (binary mode), JSON in the body."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from labelbus_contracts.topics import Topic, topic_of
from labelbus_contracts.v1.message import Message
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json

from labelbus_runtime.errors import InvalidMessage

VERSION: Final = 1
_SCHEMA: Final = "urn:labelbus:v"


@dataclass(frozen=True, slots=True)
class Record:
    """What a carrier moves: bytes with headers, and where it was found (`partition`, `offset`)."""

    topic: str
    value: bytes
    key: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    partition: int = 0
    offset: int = 0

    @property
    def size(self) -> int:
        """Return the bytes that count towards a topic's limit."""
        headers = sum(len(name) + len(value.encode()) for name, value in self.headers.items())
        return len(self.value) + len(self.key) + headers


def encode(message: Message, *, source: str, traceparent: str | None = None) -> Record:
    """Return the record of a message.

    Raises `InvalidMessage` when it is larger than its topic carries, or holds text that is no Unicode.
    """
    topic = topic_of(message)
    headers = {
        "ce_specversion": "1.0",
        "ce_id": message.id,
        "ce_type": message.kind,
        "ce_source": source,
        "ce_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "ce_dataschema": f"{_SCHEMA}{VERSION}",
        "content-type": "application/json",
        **message.routing(),
    }
    if traceparent is not None:
        headers["traceparent"] = traceparent
    try:
        body = message.model_dump_json().encode()
    except PydanticSerializationError as error:
        raise InvalidMessage(f"{message.kind} {message.id} cannot be written as JSON: {error}.") from error
    record = Record(topic.name, body, topic.key(message).encode(), headers)
    if len(record.value) > topic.max_bytes - 8192 and record.size > topic.max_bytes:
        raise InvalidMessage(
            f"{message.kind} {message.id} takes {record.size:,} bytes; {topic.name} carries at most "
            f"{topic.max_bytes:,}. Split it, or make fewer labels."
        )
    return record


def decode(topic: Topic, record: Record) -> Message | None:
    """Return the message of a record; None for an event of a kind that this version does not know.

    Raises `InvalidMessage` for bytes that are no message, a command of an unknown kind, and a message of
    a later major version.
    """
    _refuse_other_version(record)
    kind = record.headers.get("ce_type") or _kind_in_body(record)
    model = _models(topic.messages).get(kind)
    if model is None:
        if not topic.commands:
            return None
        known = ", ".join(_models(topic.messages)) or "none"
        raise InvalidMessage(
            f"Nobody follows {kind!r} on {record.topic} (known: {known}). Upgrade this service."
        )
    try:
        return model.model_validate_json(record.value)
    except ValidationError as error:
        raise InvalidMessage(f"A {kind} on {record.topic} cannot be read: {_first(error)}") from None


@lru_cache
def _models(messages: tuple[type[Message], ...]) -> dict[str, type[Message]]:
    return {model.model_fields["kind"].default: model for model in messages}


def _refuse_other_version(record: Record) -> None:
    schema = record.headers.get("ce_dataschema")
    if schema is None or not schema.startswith(_SCHEMA):
        return
    version = schema.removeprefix(_SCHEMA)
    if version != str(VERSION):
        raise InvalidMessage(
            f"A record on {record.topic} is written in version {version} of the contracts; this process "
            f"reads version {VERSION}. Upgrade this service, then send the record again."
        )


def _kind_in_body(record: Record) -> str:
    try:
        body = from_json(record.value)
    except ValueError as error:
        raise InvalidMessage(f"A record on {record.topic} is not JSON: {error}") from None
    kind = body.get("kind") if isinstance(body, dict) else None
    if not isinstance(kind, str):
        raise InvalidMessage(f"A record on {record.topic} says no kind, neither as ce_type nor in its body.")
    return kind


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]
