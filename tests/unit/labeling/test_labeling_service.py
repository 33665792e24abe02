"""A `LabelSample` is answered once, with what became of the sample, by an id fixed by what was asked."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest
from labelbus_contracts.v1.events import SampleFailed, SampleLabeled, SampleSkipped, Usage
from labelbus_contracts.v1.message import Message
from labelbus_labeling.labeler import Labeled, LabelTask
from labelbus_labeling.paid import Answer, Estimate
from labelbus_ledger.instances import capacities
from labelbus_runtime.errors import InvalidMessage, RetryLater, SampleRefused
from labelbus_runtime.testing import CollectingCarrier, round_trip
from labelbus_simulator import Fault

if TYPE_CHECKING:
    from .conftest import Bench


async def _labeled(bench: "Bench", sample_id: int = 1, **changes: object) -> SampleLabeled:
    (event,) = await bench.service.handle(bench.ask(sample_id, **changes))
    assert isinstance(event, SampleLabeled), event
    return event


async def _failed(bench: "Bench", sample_id: int = 1, **changes: object) -> SampleFailed:
    (event,) = await bench.service.handle(bench.ask(sample_id, **changes))
    assert isinstance(event, SampleFailed), event
    return event


async def test_labeled(bench: "Bench") -> None:
    """The answer carries the base that was read, the draft, its source and what it took."""
    event = await _labeled(bench)
    assert event.id == "sample_labeled:job:1:1:0:1"
    assert (event.base.sample.kind, event.base.labels.boxes) == ("image", ())
    assert [(box.label, box.source) for box in event.draft.boxes] == [("thing", "frame#0")]
    assert (event.model, event.usage.seconds > 0) == ("frame", True)
    assert round_trip(event) == event


async def test_given_base(bench: "Bench") -> None:
    """A base that came along is not read again, nor the bytes; a draft is gone on with."""
    first = await _labeled(bench)
    bench.studio.calls.reset()
    second = await _labeled(bench, base=first.base, draft=first.draft, step=1)
    assert [box.source for box in second.draft.boxes] == ["frame#0", "frame#1"]
    assert second.base == first.base
    assert bench.studio.calls.total == 0


async def test_stopped_job(bench: "Bench") -> None:
    """A sample of a paused job is not begun."""
    await _labeled(bench)
    await bench.set_job(desired_state="pause", changed_at=2.0)
    (event,) = await bench.service.handle(bench.ask(2))
    assert isinstance(event, SampleSkipped)
    assert event.id == "sample_skipped:job:1:2:0:1"
    assert bench.labeler.batches == [1]


async def test_gone(bench: "Bench") -> None:
    """A sample that is gone fails for good, and says so."""
    event = await _failed(bench, 404)
    assert event.permanent
    assert event.reason == f"Sample 404 is gone from project {bench.project.id}. Remove it from the job."


async def test_processing(bench: "Bench") -> None:
    """A sample that Studio still processes is asked for again, under its own code."""
    bench.project.samples[1].is_processing = True
    event = await _failed(bench)
    assert (event.permanent, event.code, event.retry_after_s) == (False, "processing", 30.0)


async def test_processing_failed(bench: "Bench") -> None:
    """A sample that Studio could not process fails for good, with Studio's words."""
    bench.project.samples[1].processing_error = "corrupt file"
    event = await _failed(bench)
    assert event.permanent
    assert "corrupt file" in event.reason


async def test_studio_away(bench: "Bench") -> None:
    """A fault of Studio is for later; the base that was read before goes along."""
    bench.studio.fault(Fault("error", route="*image*", status=503))
    event = await _failed(bench)
    assert (event.permanent, event.scope, event.code) == (False, "sample", "studio_unavailable")
    assert event.base is not None


async def test_revoked_key(bench: "Bench") -> None:
    """A refused key concerns the whole job."""
    bench.studio.revoke("ei_0123456789abcdef")
    event = await _failed(bench)
    assert (event.permanent, event.scope, event.code) == (False, "job", "key")


async def test_missing_secret(bench: "Bench") -> None:
    """So does a secret that cannot be had."""
    event = await _failed(bench, secret="env:UNSET")
    assert (event.scope, event.code) == ("job", "key")
    assert "UNSET is not set" in event.reason


async def test_wrong_parameters(bench: "Bench") -> None:
    """And so do parameters that the labeler does not know."""
    event = await _failed(bench, parameters={"lable": "thing"})
    assert (event.scope, event.code) == ("job", "parameters")
    assert "nearest: 'label'" in event.reason


async def test_unfit_sample(bench: "Bench") -> None:
    """A sample of another kind is refused before its bytes are fetched."""
    (clip,) = bench.project.add_audio(1, seed=1, seconds=0.1)
    event = await _failed(bench, clip)
    assert (event.permanent, event.code) == (True, "unfit")
    assert set(bench.studio.calls.by_route) == {"get-sample"}


@pytest.mark.parametrize(
    ("error", "permanent", "code", "after_s"),
    [
        (SampleRefused("too dark", code="dark"), True, "dark", None),
        (RetryLater("busy", after_s=7.0, code="busy"), False, "busy", 7.0),
    ],
)
async def test_labelers_errors(
    bench: "Bench", error: Exception, permanent: bool, code: str, after_s: float | None
) -> None:
    """What the labeler classifies becomes the answer for that sample alone."""
    bench.labeler.fails[1] = error
    failed, labeled = await asyncio.gather(_failed(bench, 1), _labeled(bench, 2))
    assert (failed.permanent, failed.code, failed.retry_after_s) == (permanent, code, after_s)
    assert labeled.sample_id == 2


async def test_labelers_bug(bench: "Bench") -> None:
    """What it does not classify is left to the runtime."""
    bench.labeler.fails[1] = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await bench.service.handle(bench.ask(1))


async def test_missing_outcome(bench: "Bench", monkeypatch: pytest.MonkeyPatch) -> None:
    """A labeler that answers fewer tasks than it was given is found out, and nobody waits for ever."""

    async def label(batch: object) -> list[Labeled]:
        return []

    monkeypatch.setattr(bench.labeler, "label", label)
    with pytest.raises(RuntimeError, match="answered 0 of 1 tasks"):
        await bench.service.handle(bench.ask(1))


async def test_foreign_message(bench: "Bench") -> None:
    """A message for another labeler is invalid."""
    with pytest.raises(InvalidMessage):
        await bench.service.handle(bench.ask(1, labeler="other"))


async def test_batches(bench: "Bench") -> None:
    """Samples that come together are labeled together, each answered for itself."""
    answers: list[list[Message]] = await asyncio.gather(
        *(_as_list(bench, sample_id) for sample_id in range(1, 13))
    )
    assert [event.sample_id for (event,) in answers if isinstance(event, SampleLabeled)] == [*range(1, 13)]
    assert max(bench.labeler.batches) > 1


async def _as_list(bench: "Bench", sample_id: int) -> list[Message]:
    return list(await bench.service.handle(bench.ask(sample_id)))


async def test_lifecycle(bench: "Bench") -> None:
    """A started service has an open labeler and is reported; a stopped one neither."""
    await bench.service.start(CollectingCarrier())
    async with bench.ledger.read() as connection:
        assert await capacities(connection, "c") == {"frame": 16}
    assert bench.labeler.is_open
    await bench.service.stop()
    async with bench.ledger.read() as connection:
        assert await capacities(connection, "c") == {}
    assert not bench.labeler.is_open


async def test_worker(bench: "Bench") -> None:
    """The worker takes twice the capacity, so that downloads overlap computing."""
    (worker,) = bench.service.workers()
    assert (worker.topic.name, worker.concurrency) == ("labelbus.label.frame.v1", 32)


async def test_a_failed_sample_says_what_it_cost(bench: "Bench") -> None:
    """What was paid before a sample failed is on its event: no cost is lost."""
    usage = Usage(input_tokens=9, output_tokens=1, cost_usd=0.01)

    async def label(batch: Sequence[LabelTask]) -> Sequence[Labeled | Exception]:
        async def call() -> Answer:
            return Answer("nonsense", usage, "luna-1")

        for task in batch:
            worst = Estimate(9, 1, 0.02)
            await task.paid.ask(provider="openai", model="luna", digest="d", worst=worst, call=call)
        return [SampleRefused("The answer cannot be used.") for _ in batch]

    bench.labeler.label = label  # type: ignore[method-assign]
    event = await _failed(bench)
    assert (event.usage.input_tokens, event.usage.cost_usd) == (9, 0.01)
