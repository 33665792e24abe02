"""A worker: a plain async function over typed messages, and what the runtime must know to carry it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from labelbus_contracts.topics import Topic
from labelbus_contracts.v1.message import Message

from labelbus_runtime.health import Readiness

Handler = Callable[[Message], Awaitable[Sequence[Message]]]
"""From a message to the messages that it implies. Raises `errors`; never holds a publisher."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a message is tried in place: `attempts` in all, backoff doubling from `first_s` up to `most_s`."""

    attempts: int = 4
    first_s: float = 0.1
    most_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Worker:
    """One registration: which service, which topic, which function, how much at once.

    `group` is the consumer group. A handler that takes longer than `timeout_s` is cancelled and counts
    as an unclassified fault; waiting out an `Unavailable` does not count. A message that fails by a bug is
    held up to `hold_s` for the proof that the deployment works; `stop_after` different messages that fail
    so, with no success between, stop the worker.
    """

    service: str
    topic: Topic
    handle: Handler
    group: str
    concurrency: int = 64
    timeout_s: float = 120.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    hold_s: float = 30.0
    stop_after: int = 10

    @property
    def name(self) -> str:
        """Return the service and what it reads: `detector on labelbus.label.owl-vit.v1`."""
        return f"{self.service} on {self.topic.name}"


class Carrier(Protocol):
    """What moves messages: Kafka, or queues in one process."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish and return once all are acknowledged. Raises `Unavailable`."""

    def mount(self, worker: Worker) -> None:
        """Register a worker; before `start`."""

    async def start(self) -> None:
        """Begin to deliver."""

    async def stop(self, *, drain_s: float = 15.0) -> None:
        """Take no more, finish what runs within `drain_s`, and leave the rest to be delivered again."""

    def ready(self) -> Readiness:
        """Tell whether every mounted worker can do its work now."""

    @property
    def stopped_workers(self) -> Mapping[str, str]:
        """Return the workers that stopped because they only fail, by name, with the reason."""
