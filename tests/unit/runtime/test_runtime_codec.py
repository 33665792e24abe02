"""Messages become records and come back."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelbus_contracts.ids import JobId, MessageId
from labelbus_contracts.topics import EVENTS, JOBS, label_topic, topic_of
from labelbus_contracts.v1.commands import LabelSample, PauseJob
from labelbus_contracts.v1.events import JobPaused
from labelbus_runtime.codec import Record, decode, encode
from labelbus_runtime.errors import InvalidMessage

MakeMessage = Callable[..., LabelSample]


@given(st.text(), st.text(), st.integers(1, 2**31))
def test_a_message_survives_its_bytes(job_id: str, reason: str, run: int) -> None:
    """Whatever text a message holds comes back as it was."""
    message = JobPaused(id=MessageId(f"job_paused:{job_id}"), job_id=JobId(job_id), run=run, reason=reason)
    assert decode(topic_of(message), encode(message, source="test")) == message


def test_half_a_letter_is_no_text() -> None:
    """What a model or a program answered in broken Unicode concerns its own sample, not the deployment."""
    message = JobPaused(id=MessageId("job_paused:1"), job_id=JobId("job"), reason="cat \ud83d")
    with pytest.raises(InvalidMessage, match="cannot be written as JSON"):
        encode(message, source="test")


def test_headers_are_cloudevents_and_the_ids(label_sample: MakeMessage) -> None:
    """A reader learns what a record is, and whom to answer, without its body."""
    record = encode(label_sample(42), source="dispatcher", traceparent="00-a-b-01")
    assert record.headers["ce_type"] == "label_sample"
    assert record.headers["ce_source"] == "dispatcher"
    assert (record.headers["job_id"], record.headers["sample_id"]) == ("job", "42")
    assert record.headers["traceparent"] == "00-a-b-01"
    assert record.key == b"7:42"


def test_unknown_fields_are_ignored(label_sample: MakeMessage) -> None:
    """A newer writer's fields do no harm."""
    message = label_sample()
    body = b'{"new":1,' + message.model_dump_json().encode()[1:]
    assert decode(label_topic("test"), Record("t", body)) == message


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b"\xff\x00garbage", {}),
        (b"[1]", {}),
        (b"{}", {}),
        (b'{"kind":7}', {}),
        (b"{", {"ce_type": "sample_failed"}),
        (b'{"kind":"sample_labeled"}', {"ce_type": "sample_failed"}),
        (b"", {"ce_type": "sample_failed"}),
    ],
)
def test_what_is_no_message_is_invalid(value: bytes, headers: dict[str, str]) -> None:
    """Garbage is told apart from a fault of ours, on event topics too."""
    with pytest.raises(InvalidMessage):
        decode(EVENTS, Record(EVENTS.name, value, headers=headers))


def test_an_unknown_event_is_skipped_and_an_unknown_command_is_invalid() -> None:
    """Events may be for others; a command that nobody follows must not vanish."""
    record = Record("t", b"{}", headers={"ce_type": "sample_dreamt"})
    assert decode(EVENTS, record) is None
    with pytest.raises(InvalidMessage, match="Nobody follows 'sample_dreamt'"):
        decode(JOBS, record)


def test_a_later_major_version_is_named() -> None:
    """The text says which version the writer had and what to do."""
    record = Record("t", b"{}", headers={"ce_type": "sample_failed", "ce_dataschema": "urn:labelbus:v2"})
    with pytest.raises(InvalidMessage, match=r"version 2.*Upgrade"):
        decode(EVENTS, record)


def test_a_record_beyond_the_limit_is_refused() -> None:
    """One byte more than the topic carries is refused with the sizes; that much is not."""
    spare = JOBS.max_bytes - encode(_pause(""), source="test").size
    assert encode(_pause("x" * spare), source="test").size == JOBS.max_bytes
    with pytest.raises(InvalidMessage, match=r"1,048,577 bytes.*at most 1,048,576"):
        encode(_pause("x" * (spare + 1)), source="test")


def test_a_labeler_has_its_own_topic(label_sample: MakeMessage) -> None:
    """The topic is derived from the labeler's name."""
    message: LabelSample = label_sample()
    assert encode(message, source="test").topic == "labelbus.label.test.v1"


def _pause(reason: str) -> PauseJob:
    return PauseJob(id=MessageId("pause_job:job"), job_id=JobId("job"), reason=reason)
