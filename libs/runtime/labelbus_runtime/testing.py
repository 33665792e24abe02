"""Helpers for tests: a carrier that only collects, and waiting for facts instead of sleeping."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from labelbus_contracts.topics import topic_of
from labelbus_contracts.v1.message import Message

from labelbus_runtime.codec import decode, encode
from labelbus_runtime.health import Readiness
from labelbus_runtime.worker import Worker

AnyMessage = TypeVar("AnyMessage", bound=Message)


class CollectingCarrier:
    """A `Carrier` that keeps what is published and hands messages to handlers only when told to.

    `fails` is raised by `publish` while it is set.
    """

    def __init__(self) -> None:
        self.published: list[Message] = []
        self.workers: list[Worker] = []
        self.fails: Exception | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        """Keep the messages after a round trip through their bytes."""
        if self.fails is not None:
            raise self.fails
        self.published += [round_trip(message) for message in messages]

    def of(self, kind: type[AnyMessage]) -> list[AnyMessage]:
        """Return what was published of one class, in order."""
        return [message for message in self.published if isinstance(message, kind)]

    def mount(self, worker: Worker) -> None:
        """Keep the worker."""
        self.workers.append(worker)

    async def start(self) -> None:
        """Do nothing."""

    async def stop(self, *, drain_s: float = 15.0) -> None:
        """Do nothing."""

    def ready(self) -> Readiness:
        """Return that all is well."""
        return Readiness()

    @property
    def stopped_workers(self) -> Mapping[str, str]:
        """Return that none stopped."""
        return {}


def round_trip(message: AnyMessage) -> AnyMessage:
    """Return the message as the other side reads it."""
    read = decode(topic_of(message), encode(message, source="test"))
    assert isinstance(read, type(message))
    return read


async def run_until(condition: Callable[[], object], *, within_s: float = 10.0) -> None:
    """Return once the condition holds, looking at every turn of the loop, then every few milliseconds.

    Raises `AssertionError` after `within_s`.
    """
    deadline = asyncio.get_running_loop().time() + within_s
    turn = 0
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not so within {within_s} s"
        await asyncio.sleep(0 if turn < 50 else 0.005)
        turn += 1
