"""One table: every topic with its messages, key, producers, consumers and retention."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from labelbus_contracts.v1 import commands, events
from labelbus_contracts.v1.message import Message

MAX_RECORD_BYTES: Final = 1024 * 1024
MAX_DEAD_LETTER_BYTES: Final = 2 * 1024 * 1024
_DAY_MS: Final = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic, and who may say what on it.

    `key` spreads and groups records over partitions; order never depends on it. `commands` tells whether
    an unknown kind is dead-lettered (a command that nobody follows) or skipped and counted (an event).
    """

    name: str
    messages: tuple[type[Message], ...]
    key: Callable[[Message], str]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    commands: bool
    partitions: int = 24
    retention_ms: int = 7 * _DAY_MS
    max_bytes: int = MAX_RECORD_BYTES


def _ids(*names: str) -> Callable[[Message], str]:
    def key(message: Message) -> str:
        return ":".join(str(getattr(message, name, "")) for name in names)

    return key


JOBS: Final = Topic(
    name="labelbus.jobs.v1",
    messages=(
        commands.SubmitJob,
        commands.AddSamples,
        commands.CancelJob,
        commands.PauseJob,
        commands.ResumeJob,
    ),
    key=_ids("job_id"),
    producers=("cli", "dispatcher"),
    consumers=("dispatcher",),
    commands=True,
    partitions=6,
)
EVENTS: Final = Topic(
    name="labelbus.events.v1",
    messages=(events.SampleLabeled, events.SampleFailed, events.SampleSkipped, events.VideoFound),
    key=_ids("job_id", "sample_id"),
    producers=("labelers",),
    consumers=("dispatcher", "committer"),
    commands=False,
)
WRITES: Final = Topic(
    name="labelbus.writes.v1",
    messages=(commands.ProposeSample, commands.CommitSample, commands.SplitVideo, commands.FinishJob),
    key=_ids("project_id", "sample_id"),
    producers=("dispatcher",),
    consumers=("committer",),
    commands=True,
)
COMMITS: Final = Topic(
    name="labelbus.commits.v1",
    messages=(
        events.SampleProposed,
        events.SampleCommitted,
        events.SampleHeld,
        events.VideoSplit,
        events.WriteRefused,
        events.WriteDeferred,
        events.JobMetadataSet,
        events.JobRejected,
        events.JobPaused,
        events.JobFinished,
    ),
    key=_ids("job_id", "sample_id"),
    producers=("committer", "dispatcher"),
    consumers=("dispatcher", "other pipelines"),
    commands=False,
)
DEAD_LETTERS: Final = Topic(
    name="labelbus.dead-letters.v1",
    messages=(),
    key=_ids("id"),
    producers=("every service",),
    consumers=("people",),
    commands=False,
    partitions=3,
    retention_ms=30 * _DAY_MS,
    max_bytes=MAX_DEAD_LETTER_BYTES,
)
FIXED_TOPICS: Final = (JOBS, EVENTS, WRITES, COMMITS, DEAD_LETTERS)
_FIXED_BY_MESSAGE: Final = {message: topic for topic in FIXED_TOPICS for message in topic.messages}


@lru_cache
def label_topic(labeler: str) -> Topic:
    """Return the topic of one labeler, derived from its name."""
    return Topic(
        name=f"labelbus.label.{labeler}.v1",
        messages=(commands.LabelSample,),
        key=_ids("project_id", "sample_id"),
        producers=("dispatcher",),
        consumers=(labeler,),
        commands=True,
    )


def topic_of(message: Message) -> Topic:
    """Return the one topic that a message is published on."""
    if isinstance(message, commands.LabelSample):
        return label_topic(message.labeler)
    topic = _FIXED_BY_MESSAGE.get(type(message))
    if topic is None:
        raise ValueError(f"no topic carries {type(message).__name__}")
    return topic
