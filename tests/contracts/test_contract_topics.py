"""The topic table: one topic for each message, with a key."""

import re

import pytest
from labelbus_contracts.schema import MESSAGES, kind_of
from labelbus_contracts.topics import DEAD_LETTERS, FIXED_TOPICS, Topic, label_topic, topic_of
from labelbus_contracts.v1.message import Message

from .test_contract_examples import EXAMPLES

ALL = (*FIXED_TOPICS, label_topic("owl-vit"))


def example(model: type[Message]) -> Message:
    """Return the golden example of a message."""
    return model.model_validate_json((EXAMPLES / f"{kind_of(model)}.json").read_text())


def subclasses(model: type[Message]) -> set[type[Message]]:
    """Return all messages that the contracts declare."""
    own = {one for one in model.__subclasses__() if one.__module__.startswith("labelbus_contracts.")}
    return own.union(*(subclasses(one) for one in own))


def test_no_message_without_a_topic() -> None:
    """Every message that has a kind is on a topic."""
    declared = {one for one in subclasses(Message) if isinstance(one.model_fields["kind"].default, str)}
    assert declared == set(MESSAGES)


@pytest.mark.parametrize("model", MESSAGES, ids=kind_of)
def test_one_topic(model: type[Message]) -> None:
    """A message belongs to exactly one topic, with a key that is not empty."""
    (topic,) = (topic for topic in ALL if model in topic.messages)
    message = example(model)
    assert topic_of(message).messages == topic.messages
    assert topic.key(message).strip(":")


@pytest.mark.parametrize("topic", ALL, ids=lambda topic: topic.name)
def test_topic(topic: Topic) -> None:
    """Names carry the major version; sizes and retention are bounded; somebody writes and reads."""
    assert re.fullmatch(r"labelbus\.[a-z.-]+\.v1", topic.name)
    assert topic.partitions > 0 and topic.retention_ms > 0
    assert topic.max_bytes <= DEAD_LETTERS.max_bytes
    assert topic.producers and topic.consumers


def test_unknown_message() -> None:
    """A message that no topic carries is a bug of the caller."""
    with pytest.raises(ValueError, match="no topic carries Message"):
        topic_of(Message.model_validate({"kind": "odd", "id": "1"}))
