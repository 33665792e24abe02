"""What only the embedded carrier promises; the shared promises are in the conformance suite."""

import asyncio
from collections.abc import Callable

import pytest
from labelbus_contracts.ids import MessageId
from labelbus_contracts.topics import EVENTS
from labelbus_contracts.v1.commands import LabelSample
from labelbus_contracts.v1.events import SampleSkipped
from labelbus_contracts.v1.message import Message
from labelbus_runtime.embedded import EmbeddedCarrier
from labelbus_runtime.errors import SettingsError, Unavailable
from labelbus_runtime.testing import run_until
from labelbus_runtime.worker import Worker

MakeWorker = Callable[..., Worker]
MakeMessage = Callable[..., LabelSample]


async def test_publish_never_runs_a_handler(labeler: MakeWorker, label_sample: MakeMessage) -> None:
    """A publisher returns before any handler begins, so that a chain cannot grow the stack."""
    seen: list[int] = []

    async def handle(message: LabelSample) -> list[Message]:
        seen.append(message.sample_id)
        return []

    carrier = EmbeddedCarrier()
    carrier.mount(labeler(handle))
    await carrier.start()
    await carrier.publish([label_sample(1)])
    assert seen == []
    await run_until(lambda: seen == [1])
    await carrier.stop()


async def test_no_record_is_left_behind(labeler: MakeWorker, label_sample: MakeMessage) -> None:
    """With one task at a time, a message that comes as the task ends is handled too."""
    handled = asyncio.Queue[int]()

    async def handle(message: LabelSample) -> list[Message]:
        handled.put_nowait(message.sample_id)
        return []

    carrier = EmbeddedCarrier()
    carrier.mount(labeler(handle, concurrency=1))
    await carrier.start()
    for number in range(200):
        await carrier.publish([label_sample(number)])
        async with asyncio.timeout(1):
            assert await handled.get() == number
    await carrier.stop()


async def test_a_busy_worker_lets_others_run(labeler: MakeWorker, label_sample: MakeMessage) -> None:
    """A long queue of handlers that wait for nothing does not stop the loop."""

    async def handle(message: LabelSample) -> list[Message]:
        return []

    carrier = EmbeddedCarrier()
    carrier.mount(labeler(handle))
    await carrier.publish([label_sample(number) for number in range(2_000)])
    await carrier.start()
    for _ in range(5):
        await asyncio.sleep(0)
    assert carrier.unfinished > 0
    await run_until(lambda: carrier.unfinished == 0)
    await carrier.stop()


async def test_what_is_finished_while_it_stops_is_heard(
    labeler: MakeWorker, label_sample: MakeMessage
) -> None:
    """The events of running commands are handled before the end; further commands do not begin."""
    begun, heard, release = list[int](), list[int](), asyncio.Event()

    async def label(message: LabelSample) -> list[Message]:
        begun.append(message.sample_id)
        await release.wait()
        return [_skipped(message)]

    async def hear(message: SampleSkipped) -> list[Message]:
        heard.append(message.sample_id)
        return []

    carrier = EmbeddedCarrier()
    carrier.mount(labeler(label, concurrency=2))
    carrier.mount(Worker("dispatcher", EVENTS, hear, group="dispatcher", concurrency=1))  # type: ignore[arg-type]
    await carrier.start()
    await carrier.publish([label_sample(number) for number in range(1, 6)])
    await run_until(lambda: len(begun) == 2)
    stopping = asyncio.create_task(carrier.stop())
    await asyncio.sleep(0)
    release.set()
    await stopping
    assert sorted(heard) == sorted(begun) == [1, 2]


async def test_a_stopped_carrier_takes_nothing(label_sample: MakeMessage) -> None:
    """Publishing after the end raises instead of forgetting."""
    carrier = EmbeddedCarrier()
    await carrier.start()
    await carrier.stop()
    with pytest.raises(Unavailable):
        await carrier.publish([label_sample()])


async def test_one_worker_per_topic_and_group(labeler: MakeWorker) -> None:
    """A second mount of the same group is a mistake of the wiring."""

    async def handle(message: LabelSample) -> list[Message]:
        return []

    carrier = EmbeddedCarrier()
    carrier.mount(labeler(handle))
    with pytest.raises(SettingsError, match="mounted already"):
        carrier.mount(labeler(handle))


def _skipped(command: LabelSample) -> SampleSkipped:
    return SampleSkipped(
        id=MessageId(f"sample_skipped:{command.id}"),
        job_id=command.job_id,
        project_id=command.project_id,
        sample_id=command.sample_id,
        labeler=command.labeler,
        reason="done",
    )
