"""What is said of a command that was not followed, so that nobody waits for it.

Answers are made from the topic and the ids in the headers alone: an unreadable body is answered too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from labelbus_contracts.topics import JOBS, WRITES, Topic, label_topic
from labelbus_contracts.v1 import commands, events
from labelbus_contracts.v1.message import Message, message_id
from pydantic import ValidationError

from labelbus_runtime.codec import Record
from labelbus_runtime.errors import RetryLater

RETRY_AFTER_S: Final = 30.0
"""When to come back, where a `RetryLater` does not say."""
_LABEL_PREFIX, _LABEL_SUFFIX = label_topic("|").name.split("|")
_MAX_REASON: Final = 2_000


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked: on which topic, of which kind, about which ids (`Message.routing`)."""

    topic: Topic
    kind: str
    ids: Mapping[str, str]


def question(topic: Topic, record: Record, message: Message | None) -> Question:
    """Return what a record asks; the message's own ids count before the headers'."""
    if message is None:
        return Question(topic, record.headers.get("ce_type", ""), record.headers)
    return Question(topic, message.kind, {**record.headers, **message.routing()})


def later(asked: Question, error: RetryLater) -> Message | None:
    """Return the answer that asks to come back; None where only waiting helps."""
    after_s = RETRY_AFTER_S if error.after_s is None else error.after_s
    if commands.LabelSample in asked.topic.messages:
        return _sample_failed(
            asked,
            reason=error.reason,
            code=error.code,
            retry_after_s=after_s,
            scope=error.scope,
            permanent=False,
        )
    if asked.topic.name == WRITES.name and asked.kind != "finish_job":
        return _build(
            events.WriteDeferred,
            asked,
            "run",
            "sample_id",
            "attempt",
            reason=error.reason[:_MAX_REASON],
            retry_after_s=after_s,
            scope=error.scope,
        )
    return None


def never(asked: Question, reason: str, *, code: str) -> Message | None:
    """Return the answer that no repetition helps; None for an event, or where the ids are unreadable."""
    if commands.LabelSample in asked.topic.messages:
        return _sample_failed(asked, reason=reason, code=code, permanent=True)
    reason = reason[:_MAX_REASON]
    if asked.topic.name == JOBS.name:
        return _build(events.JobRejected, asked, reason=reason)
    if asked.topic.name != WRITES.name:
        return None
    if asked.kind == "finish_job":
        return _build(events.JobMetadataSet, asked, "run", failed=1, reason=reason)
    return _build(events.WriteRefused, asked, "run", "sample_id", "attempt", reason=reason, code=code)


def _sample_failed(asked: Question, *, reason: str, **fields: object) -> Message | None:
    labeler = asked.topic.name.removeprefix(_LABEL_PREFIX).removesuffix(_LABEL_SUFFIX)
    return _build(
        events.SampleFailed,
        asked,
        "run",
        "sample_id",
        "step",
        "attempt",
        labeler=labeler,
        reason=reason[:_MAX_REASON],
        **fields,
    )


_DEFAULTS: Final = {"run": "1", "step": "0", "attempt": "1"}


def _build(model: type[Message], asked: Question, *named_by: str, **fields: object) -> Message | None:
    """Build an event with a fixed id of the kind, the job and the ids in `named_by`."""
    ids = {**_DEFAULTS, **asked.ids}
    known = {name: ids[name] for name in model.model_fields if name in ids}
    if "job_id" not in known or any(name not in known for name in named_by):
        return None
    kind = model.model_fields["kind"].default
    parts = [known["job_id"], *(known[name] for name in named_by)]
    if model is events.JobRejected:
        parts.append(asked.kind or "unreadable")
    try:
        return model.model_validate({**known, **fields, "id": message_id(kind, *parts)})
    except ValidationError:
        return None
