"""Every command that is not followed has an answer with a fixed id."""

import pytest
from labelbus_contracts.topics import EVENTS, JOBS, WRITES, Topic, label_topic
from labelbus_contracts.v1 import events
from labelbus_contracts.v1.message import Message
from labelbus_runtime.answers import Question, later, never
from labelbus_runtime.errors import RetryLater

IDS = {"job_id": "j", "run": "2", "project_id": "7", "sample_id": "42", "step": "1", "attempt": "3"}


def test_a_dead_label_sample_is_answered_from_its_headers() -> None:
    """The labeler's name comes from the topic, the ids from the headers."""
    answer = never(Question(label_topic("owl-vit"), "", IDS), "unreadable", code="dead_letter")
    assert isinstance(answer, events.SampleFailed)
    assert answer.permanent
    assert answer.labeler == "owl-vit"
    assert answer.id == "sample_failed:j:2:42:1:3"


@pytest.mark.parametrize(
    ("topic", "kind", "answered"),
    [
        (WRITES, "commit_sample", events.WriteRefused),
        (WRITES, "propose_sample", events.WriteRefused),
        (WRITES, "finish_job", events.JobMetadataSet),
        (JOBS, "submit_job", events.JobRejected),
        (JOBS, "", events.JobRejected),
    ],
)
def test_every_command_topic_has_its_answer(topic: Topic, kind: str, answered: type[Message]) -> None:
    """Nobody waits for ever for a command that was given up."""
    answer = never(Question(topic, kind, IDS), "no", code="dead_letter")
    assert isinstance(answer, answered)
    assert answer == never(Question(topic, kind, IDS), "no", code="dead_letter")


def test_events_and_unreadable_ids_have_no_answer() -> None:
    """Where nobody waits, or nobody is known, only the dead letter remains."""
    assert never(Question(EVENTS, "sample_labeled", IDS), "no", code="x") is None
    assert never(Question(WRITES, "commit_sample", {"job_id": "j"}), "no", code="x") is None
    assert never(Question(WRITES, "commit_sample", {**IDS, "sample_id": "?"}), "no", code="x") is None


def test_a_longer_fault_asks_to_come_back() -> None:
    """The answer carries when, and whether the whole job is concerned."""
    fault = RetryLater("key revoked", after_s=60, scope="job", code="unauthorized")
    failed = later(Question(label_topic("a"), "label_sample", IDS), fault)
    deferred = later(Question(WRITES, "commit_sample", IDS), fault)
    assert isinstance(failed, events.SampleFailed)
    assert (failed.retry_after_s, failed.scope, failed.code, failed.permanent) == (
        60,
        "job",
        "unauthorized",
        False,
    )
    assert isinstance(deferred, events.WriteDeferred)
    assert (deferred.retry_after_s, deferred.scope) == (60, "job")
    assert later(Question(WRITES, "finish_job", IDS), fault) is None
