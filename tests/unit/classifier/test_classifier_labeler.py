"""The labeler against a simulated Studio that holds the source project."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import httpx
import pytest
from labelbus_classifier import registration
from labelbus_classifier.labeler import PretrainedLabeler
from labelbus_classifier.parameters import PretrainedParameters
from labelbus_contracts.labels import BoundingBox, LabelPart, LabelSet
from labelbus_labeling.labeler import Labeled, LabelTask, Registration, no_studio
from labelbus_labeling.testing import GivenMedia, LabelerConformance
from labelbus_runtime.errors import RetryLater, SampleRefused
from labelbus_simulator import Studio, StudioApp
from labelbus_simulator.faults import Fault
from labelbus_simulator.models.eyes import answer_with_boxes, answer_with_result
from labelbus_studio.client import StudioClient
from pydantic import SecretStr, ValidationError

MakeTask = Callable[..., LabelTask]
CAT = {"label": "Cat", "x": 10, "y": 20, "width": 30, "height": 40, "score": 0.9}
DOG = {"label": "dog", "x": 0, "y": 0, "width": 96, "height": 64, "score": 0.3}
OLD = BoundingBox(label="old", x=1, y=2, width=3, height=4)


def answering(answer: Mapping[str, Any]) -> Callable[[bytes], dict[str, Any]]:
    """Return an impulse that always says the same."""
    return lambda _: dict(answer)


async def label(task: LabelTask) -> Labeled | Exception:
    """Label one task."""
    (outcome,) = await PretrainedLabeler().label([task])
    return outcome


def contents(outcome: Labeled | Exception) -> list[tuple[object, ...]]:
    """Return the boxes of a draft."""
    assert isinstance(outcome, Labeled), outcome
    return [box.content for box in outcome.draft.boxes]


@pytest.mark.parametrize("unit", ["ratio", "pixel"])
async def test_boxes_come_in_pixels_either_way(elsewhere: Any, task: MakeTask, unit: str) -> None:
    """The impulse's boxes are added to those that are there; the same box is not added twice."""
    elsewhere.studio.set_options(classify_boxes=unit)
    elsewhere.project.classify = answering({"boundingBoxes": [CAT, DOG]})
    first = await label(task(draft=LabelSet(boxes=(OLD,), metadata={"site": "A"})))
    assert contents(first) == [OLD.content, ("Cat", 10, 20, 30, 40), ("dog", 0, 0, 96, 64)]
    assert isinstance(first, Labeled)
    assert first.draft.metadata == {"site": "A"}
    assert first.model == "project 1, impulse 1"
    assert contents(await label(task(draft=first.draft))) == contents(first)


async def test_boxes_are_kept_renamed_and_deleted(elsewhere: Any, task: MakeTask) -> None:
    """By label, by confidence, and with or without those that are there."""
    elsewhere.project.classify = answering({"boundingBoxes": [CAT, DOG]})
    there = LabelSet(boxes=(OLD,))
    kept = await label(task(draft=there, keep_bounding_boxes="cat (Felis)"))
    assert contents(kept) == [OLD.content, ("Felis", 10, 20, 30, 40)]
    fresh = await label(task(draft=there, delete_existing_bounding_boxes=True, min_confidence=0.5))
    assert contents(fresh) == [("Cat", 10, 20, 30, 40)]


async def test_the_best_class_becomes_the_label(elsewhere: Any, task: MakeTask) -> None:
    """Unless it scores too little; an anomaly score is no class."""
    elsewhere.project.labeling_method = "single_label"
    elsewhere.project.classify = answering({"result": {"a": 0.2, "b": 0.7, "anomaly": 1.9}})
    sure = await label(task(method="single_label"))
    assert isinstance(sure, Labeled)
    assert sure.draft.label is not None
    assert (sure.draft.label.label, sure.draft.label.score) == ("b", 0.7)
    unsure = await label(task(method="single_label", min_confidence=0.8))
    assert isinstance(unsure, Labeled)
    assert (unsure.draft.label, len(unsure.notes)) == (None, 1)


async def test_a_source_is_looked_at_once(elsewhere: Any, task: MakeTask) -> None:
    """However many samples come together."""
    elsewhere.project.classify = answer_with_boxes
    labeler = PretrainedLabeler()
    await asyncio.gather(*(labeler.label([task()]) for _ in range(8)))
    assert (elsewhere.asked("get-impulse"), elsewhere.asked("classify-image")) == (1, 8)
    assert set(elsewhere.opened) == {"env:SOURCE"}


class Hanging(httpx.AsyncBaseTransport):
    """Reaches a Studio once it may go on."""

    def __init__(self, studio: Studio) -> None:
        self.asked, self.goes_on = asyncio.Event(), asyncio.Event()
        self._inner = httpx.ASGITransport(StudioApp(studio))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Wait, then ask."""
        self.asked.set()
        await self.goes_on.wait()
        return await self._inner.handle_async_request(request)


async def test_a_source_that_hangs_keeps_no_other_waiting(elsewhere: Any, task: MakeTask) -> None:
    """Another project is looked at while one does not answer."""
    elsewhere.project.classify = answer_with_boxes
    labeler, slow = PretrainedLabeler(), Hanging(elsewhere.studio)
    async with StudioClient(SecretStr(elsewhere.project.key), transport=slow) as client:

        async def open_slow(secret: str) -> StudioClient:
            return client

        first = asyncio.create_task(labeler.label([replace(task(), studio=open_slow)]))
        await slow.asked.wait()
        async with asyncio.timeout(10):
            (other,) = await labeler.label([task()])
        slow.goes_on.set()
        assert isinstance(other, Labeled)
        assert isinstance((await first)[0], Labeled)


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"labeling_method": "single_label"}, "source-method", "by single_label, this project by object"),
        ({"classify": None}, "source-impulse", "has no impulse 1"),
        ({"classify": answering({})}, "source-answers", "neither boxes nor labels"),
    ],
)  # fmt: skip
async def test_a_source_that_cannot_label_pauses_the_job(
    elsewhere: Any, task: MakeTask, change: dict[str, Any], code: str, said: str
) -> None:
    """Another labeling method, no impulse, an impulse that answers something else."""
    elsewhere.project.classify = answer_with_boxes
    for name, value in change.items():
        setattr(elsewhere.project, name, value)
    error = await label(task())
    assert isinstance(error, RetryLater)
    assert (error.scope, error.code) == ("job", code)
    assert said in str(error)


async def test_a_refused_key_pauses_the_job(elsewhere: Any, task: MakeTask) -> None:
    """The text names the setting and never the key."""
    elsewhere.studio.revoke(elsewhere.project.key)
    error = await label(task())
    assert isinstance(error, RetryLater)
    assert (error.scope, error.code) == ("job", "source-key")
    assert "source_secret" in str(error)
    assert elsewhere.project.key not in str(error)


async def test_a_key_revoked_in_the_middle_pauses_the_job(elsewhere: Any, task: MakeTask) -> None:
    """What was found fit is not looked at again, yet the next picture tells."""
    elsewhere.project.classify = answer_with_boxes
    labeler = PretrainedLabeler()
    assert isinstance((await labeler.label([task()]))[0], Labeled)
    elsewhere.studio.revoke(elsewhere.project.key)
    (error,) = await labeler.label([task()])
    assert isinstance(error, RetryLater)
    assert (error.scope, error.code) == ("job", "source-key")


@pytest.mark.parametrize(
    ("said", "scope", "code"),
    [
        ("Project does not have a trained impulse", "job", "source-impulse"),
        ("This project has not been trained yet", "job", "source-impulse"),
        ("Deployment was not built", "job", "source-impulse"),
        ("No model found", "job", "source-impulse"),
        ("Image has 2 channels", "refused", "source-refused"),
        ("This colour is strained", "refused", "source-refused"),
    ],
)
async def test_a_refusal_is_the_jobs_or_the_samples(
    elsewhere: Any, task: MakeTask, said: str, scope: str, code: str
) -> None:
    """An impulse that is not trained, built or deployed labels no picture at all; others fail alone."""
    elsewhere.project.classify = answer_with_boxes
    elsewhere.studio.fault(Fault("refuse", "classify-image", message=said))
    error = await label(task())
    assert isinstance(error, RetryLater | SampleRefused)
    assert (getattr(error, "scope", "refused"), error.code) == (scope, code)
    assert said in str(error)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("rate_limit", "classify-image", retry_after=7), "source-unavailable"),
        (Fault("error", "classify-image", status=503), "source-unavailable"),
        (Fault("drop", "classify-image"), "source-unavailable"),
        (Fault("not_json", "classify-image", status=200), "source-confused"),
        (Fault("truncate", "classify-image"), "source-unavailable"),
        (Fault("error", "list-projects", status=500), "source-unavailable"),
        (Fault("error", "get-impulse", status=500), "source-unavailable"),
    ],
)
async def test_a_source_that_is_away_is_come_back_to(
    elsewhere: Any, task: MakeTask, fault: Fault, code: str
) -> None:
    """Busy, down or answering garbage: that sample is tried again, when Studio says so if it does."""
    elsewhere.project.classify = answer_with_boxes
    elsewhere.studio.fault(fault)
    error = await label(task())
    assert isinstance(error, RetryLater)
    assert (error.scope, error.code) == ("sample", code)
    assert error.after_s == fault.retry_after


async def test_without_access_the_job_pauses(task: MakeTask) -> None:
    """A task that came without access to secrets says so."""
    error = await label(replace(task(), studio=no_studio))
    assert isinstance(error, RetryLater)
    assert error.scope == "job"


async def test_bytes_that_are_no_picture_are_refused(elsewhere: Any, task: MakeTask) -> None:
    """Studio is not asked about them."""
    elsewhere.project.classify = answer_with_boxes
    assert isinstance(await label(task(image=b"nothing")), SampleRefused)
    assert elsewhere.asked("classify-image") == 0


def test_a_key_in_place_of_its_name_is_refused_unshown() -> None:
    """It must not reach a message, a log or the ledger."""
    key = "ei_" + "1" * 40
    with pytest.raises(ValidationError) as caught:
        PretrainedParameters.model_validate({"source_secret": key})
    (fault,) = caught.value.errors(include_input=False, include_url=False, include_context=False)
    assert "never write the key itself" in fault["msg"]
    assert key not in fault["msg"]


class TestPretrainedConformance(LabelerConformance):
    """What holds for every labeler holds for `pretrained`."""

    registration: ClassVar[Registration] = registration()
    parameters = (
        PretrainedParameters.model_validate({"source_secret": "env:SOURCE"}),
        PretrainedParameters.model_validate(
            {"source_secret": "env:SOURCE", "delete_existing_bounding_boxes": True}
        ),
    )
    changes: ClassVar[frozenset[LabelPart]] = frozenset({"boxes"})

    @pytest.fixture
    def labeler(self, elsewhere: Any, reaching: Callable[[LabelTask], LabelTask]) -> PretrainedLabeler:
        """Label by a source that finds the red square."""
        elsewhere.project.classify = answer_with_boxes
        self._reaching = reaching
        return PretrainedLabeler()

    def task(
        self, number: int, *, media: GivenMedia | None = None, draft: LabelSet | None = None
    ) -> LabelTask:
        """Return a task that can open the source."""
        return self._reaching(super().task(number, media=media, draft=draft))


async def test_a_classifier_on_real_pictures(elsewhere: Any, task: MakeTask) -> None:
    """The stand-in really looks: a red square is mostly red."""
    elsewhere.project.labeling_method = "single_label"
    elsewhere.project.classify = answer_with_result
    outcome = await label(task(method="single_label"))
    assert isinstance(outcome, Labeled)
    assert outcome.draft.label is not None
    assert outcome.draft.label.score is not None
