"""Readiness: what a process complains of."""

from collections.abc import Callable, Sequence

import pytest
from labelbus_contracts.v1.commands import LabelSample
from labelbus_contracts.v1.message import Message
from labelbus_runtime import delivery
from labelbus_runtime.embedded import EmbeddedCarrier
from labelbus_runtime.errors import Unavailable
from labelbus_runtime.testing import run_until
from labelbus_runtime.worker import Worker


async def test_a_message_that_takes_too_long_makes_unready(
    labeler: Callable[..., Worker],
    label_sample: Callable[..., LabelSample],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever it waits for, a message older than its worker's timeout is complained of, by name."""
    monkeypatch.setattr(delivery, "_LATE_S", 0.0)

    async def wait(message: Message) -> Sequence[Message]:
        raise Unavailable("The ledger is away.")

    carrier = EmbeddedCarrier(source="test")
    carrier.mount(labeler(wait, timeout_s=0.05))
    await carrier.start()
    assert carrier.ready().ready
    await carrier.publish([label_sample()])
    await run_until(lambda: not carrier.ready().ready)
    [complaint] = carrier.ready().complaints
    assert complaint.startswith("test on labelbus.label.test.v1 has worked on a message for")
    await carrier.stop(drain_s=0)
