"""The labeler on the bundled model: drafts, metadata, mixed batches, and one bad sample among good ones."""

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import torch
from labelbus_contracts.labels import BoundingBox
from labelbus_detector import registration
from labelbus_detector.detections import Detection
from labelbus_detector.engine import Ask, OwlEngine
from labelbus_detector.labeler import OwlVitLabeler, make_detector, make_labeler
from labelbus_detector.local import LocalDetector
from labelbus_detector.parameters import OwlVitParameters
from labelbus_detector.remote import RemoteDetector
from labelbus_detector.settings import DetectorSettings
from labelbus_detector.testing import encoded, shapes
from labelbus_labeling.labeler import Labeled, LabelTask
from labelbus_runtime.errors import SampleRefused, SettingsError

IMAGE = encoded(shapes())
MakeTask = Callable[..., LabelTask]


@pytest.fixture
async def labeler() -> AsyncIterator[OwlVitLabeler]:
    """The labeler on the toy model."""
    made = make_labeler({"LABELBUS_DETECTOR_MODEL": "toy", "LABELBUS_DETECTOR_DEVICE": "cpu"})
    await made.open()
    yield made
    await made.close()


async def answer(labeler: OwlVitLabeler, task: LabelTask) -> Labeled:
    """Label one task."""
    (outcome,) = await labeler.label([task])
    assert isinstance(outcome, Labeled)
    return outcome


async def test_a_draft_gets_boxes_and_the_official_metadata(labeler: OwlVitLabeler, task: MakeTask) -> None:
    """Boxes carry score and source; metadata names the model and the whole prompt, beside what was there."""
    prompt = "red square (square, 0.4)\nblue circle (circle, 0.4)"
    labeled = await answer(labeler, task(IMAGE, prompt, nms=True, metadata={"site": "A"}))
    assert sorted(box.label for box in labeled.draft.boxes) == ["circle", "square"]
    assert all(box.source == "owl-vit#0" and box.score and box.score >= 0.4 for box in labeled.draft.boxes)
    assert labeled.draft.metadata == {"site": "A", "labeled_by": "owlv2", "prompt": prompt}
    assert labeled.model == "toy" and labeled.usage.seconds > 0


async def test_labeling_twice_adds_nothing(labeler: OwlVitLabeler, task: MakeTask) -> None:
    """A second run over its own result leaves the same boxes."""
    first = await answer(labeler, task(IMAGE, nms=True, write_metadata=False))
    second = await answer(labeler, task(IMAGE, nms=True, write_metadata=False, boxes=first.draft.boxes))
    assert second.draft == first.draft
    assert first.draft.metadata == {}


async def test_a_batch_too_large_for_the_gpu_is_let_go_of(
    labeler: OwlVitLabeler, task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its images are tried one by one, when nothing of the batch is held in memory any more."""
    held: list[weakref.ref[torch.Tensor]] = []
    original = OwlEngine.detect

    def detect(
        self: OwlEngine, pixels: Sequence[torch.Tensor], asks: Sequence[Ask]
    ) -> list[tuple[Detection, ...]]:
        if len(asks) > 1:
            activations = torch.zeros(1)
            held.append(weakref.ref(activations))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        assert [one for one in held if one() is not None] == []
        return original(self, pixels, asks)

    monkeypatch.setattr(OwlEngine, "detect", detect)
    outcomes = await labeler.label([task(IMAGE) for _ in range(4)])
    assert held and all(isinstance(one, Labeled) for one in outcomes)


async def test_existing_boxes_of_the_prompts_labels_go(labeler: OwlVitLabeler, task: MakeTask) -> None:
    """ "matching-prompt" replaces the boxes of its labels and keeps the others."""
    there = tuple(BoundingBox(label=name, x=1, y=1, width=2, height=2) for name in ("square", "other"))
    wanted = task(IMAGE, boxes=there, delete_existing_bounding_boxes="matching-prompt")
    boxes = (await answer(labeler, wanted)).draft.boxes
    assert boxes[0] == there[1] and there[0] not in boxes


async def test_one_bad_sample_fails_alone(labeler: OwlVitLabeler, task: MakeTask) -> None:
    """In a batch of prompts and sizes, the damaged image is refused and the others are labeled."""
    tasks = [task(IMAGE), task(b"no image"), task(encoded(shapes(400, 300)), "blue circle")]
    good, bad, other = await labeler.label(tasks)
    assert isinstance(bad, SampleRefused)
    assert isinstance(good, Labeled) and isinstance(other, Labeled)
    assert {box.label for box in other.draft.boxes} == {"blue circle"}


async def test_batches_change_nothing(labeler: OwlVitLabeler, task: MakeTask) -> None:
    """Many at once give what each gives alone."""
    prompts = ["red square (a, 0.4)", "blue circle", "square\ncircle", "dog"] * 5
    together = await labeler.label([task(IMAGE, prompt) for prompt in prompts])
    for prompt, outcome in zip(prompts[:4], together, strict=False):
        alone = await answer(labeler, task(IMAGE, prompt))
        assert isinstance(outcome, Labeled)
        rows = [[box.content for box in one.draft.boxes] for one in (alone, outcome)]
        assert rows[0] == rows[1]


async def test_boxes_follow_studios_size(labeler: OwlVitLabeler, task: MakeTask) -> None:
    """Studio's imageDimensions of half the size halve the boxes, and a note says so."""
    full = await answer(labeler, task(IMAGE, nms=True, size=(320, 240)))
    half = await answer(labeler, task(IMAGE, nms=True, size=(160, 120)))
    assert full.draft.boxes[0].x == pytest.approx(2 * half.draft.boxes[0].x, abs=1)
    assert not full.notes and "160 * 120 in Studio" in half.notes[0]


async def test_a_long_prompt_is_noted(labeler: OwlVitLabeler, task: MakeTask) -> None:
    """People learn that the model did not read all of their phrase."""
    labeled = await answer(labeler, task(IMAGE, "red square " * 12))
    assert "cut off" in labeled.notes[0]


async def test_cancelling_reaches_through(labeler: OwlVitLabeler, task: MakeTask) -> None:
    """A cancelled batch ends cancelled, and the labeler goes on."""
    work = asyncio.create_task(labeler.label([task(IMAGE)]))
    await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert (await answer(labeler, task(IMAGE))).draft.boxes


def test_the_endpoint_decides_where_detection_runs() -> None:
    """BEAM_ENDPOINT chooses the detector elsewhere."""
    remote = {"BEAM_ENDPOINT": "https://owl.example/", "BEAM_ACCESS_KEY": "k"}
    assert isinstance(make_detector(DetectorSettings.from_environment(remote)), RemoteDetector)
    assert isinstance(make_detector(DetectorSettings.from_environment({})), LocalDetector)


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"BEAM_ENDPOINT": "https://owl.example/"}, "BEAM_ACCESS_KEY"),
        ({"BEAM_ENDPOINT": "owl.example", "BEAM_ACCESS_KEY": "k"}, "no address"),
        ({"LABELBUS_DETECTOR_DEVICE": "tpu"}, "LABELBUS_DETECTOR_DEVICE"),
        ({"LABELBUS_DETECTOR_PAD_VALUE": "9"}, "LABELBUS_DETECTOR_PAD_VALUE"),
    ],
)
def test_wrong_settings_are_named(environ: dict[str, str], says: str) -> None:
    """The error names the variable to mend."""
    with pytest.raises(SettingsError, match=says):
        make_labeler(environ)


def test_settings_read_nothing_but_the_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's own environment does not leak in."""
    monkeypatch.setenv("LABELBUS_DETECTOR_MODEL", "elsewhere")
    assert DetectorSettings.from_environment({}).model == "google/owlv2-base-patch16-ensemble"


def test_the_registration_names_the_labeler() -> None:
    """The entry point gives name, kind of data and parameters."""
    made = registration()
    assert (made.name, made.parameters) == ("owl-vit", OwlVitParameters)
    assert made.operates_on == {"images_object_detection"}
