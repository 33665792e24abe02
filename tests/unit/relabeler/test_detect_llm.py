"""Boxes from a model's structured answer."""

import json
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from labelbus_contracts.labels import LabelPart
from labelbus_labeling.labeler import Labeled
from labelbus_labeling.testing import LabelerConformance
from labelbus_relabeler import detect_llm
from labelbus_relabeler.objects import SearchedObject, parse_objects
from labelbus_relabeler.parameters import DetectParameters
from labelbus_runtime.errors import SampleRefused
from pydantic import ValidationError

from .conftest import box, scene, task_of

if TYPE_CHECKING:
    from labelbus_labeling.labeler import Labeler

    from .conftest import Open, Stand


def searched(**more: Any) -> DetectParameters:
    """Return parameters that search for cats and dogs."""
    return DetectParameters.model_validate({"prompt": "A cat (cat)\nA dog (dog)", **more})


def one(label: str, *corners: float, confidence: float = 0.9) -> dict[str, object]:
    """Return one object of an answer."""
    edges = dict(zip(("x_min", "y_min", "x_max", "y_max"), corners, strict=True))
    return {"label": label, "confidence": confidence, **edges}


class TestDetect(LabelerConformance):
    """The suite of every labeler."""

    registration = detect_llm()
    parameters: ClassVar = [searched(prompt="red square"), searched(prompt="blue circle")]
    changes: ClassVar[frozenset[LabelPart]] = frozenset({"boxes"})

    @pytest.fixture
    async def labeler(self, opened: "Open") -> "Labeler":
        """Give the labeler on the stand-in."""
        return await opened(self.registration)


async def detect(opened: "Open", *boxes: Any, image: bytes | None = None, **more: Any) -> Labeled:
    """Label one task."""
    labeler = await opened(detect_llm())
    (outcome,) = await labeler.label([task_of(searched(**more), *boxes, image=image)])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def test_shapes_are_found(opened: "Open", stand: "Stand") -> None:
    """The stand-in sees the red square; boxes carry score and source, metadata is the official block's."""
    labeled = await detect(opened, prompt="a red thing (red square)")
    (found,) = labeled.draft.boxes
    assert found.content == ("red square", 4, 16, 21, 21)
    assert (found.score, found.source) == (0.9, "step#0")
    said = stand.desk.requests[0]
    assert labeled.draft.metadata == {
        "labeled_by": "simulated",
        "reasoning_effort": "medium",
        "prompt": said["messages"][0]["content"][0]["text"],
    }
    assert said["reasoning_effort"] == "medium"


async def test_boxes_are_clipped_filtered_and_suppressed(opened: "Open", stand: "Stand") -> None:
    """Beyond the image is cut, empty ones and wrong areas go; equal confidences keep the earlier box."""
    answer = [
        one("cat", -5, 0, 20, 20),
        one("cat", 0, 0, 21, 21),
        one("dog", 0, 0, 21, 21),
        one("dog", 90, 60, 300, 200),
        one("cat", 50, 50, 50, 60),
        one("cat", 40, 40, 41, 41),
        one("cat", 60, 0, 80, 20, confidence=0.1),
    ]
    stand.says(json.dumps({"objects": answer}))
    more: dict[str, Any] = {"nms": True, "ignore_objects_smaller_than": 0.3, "min_confidence": 0.2}
    labeled = await detect(opened, **more)
    assert [found.content for found in labeled.draft.boxes] == [
        ("cat", 0, 0, 20, 20),
        ("dog", 0, 0, 21, 21),
        ("dog", 90, 60, 6, 4),
    ]


@pytest.mark.parametrize(("how", "kept"), [("no", ["cat", "cow"]), ("matching-prompt", ["cow"]), ("yes", [])])
async def test_existing_boxes_stay_by_mode(opened: "Open", stand: "Stand", how: str, kept: list[str]) -> None:
    """As the detector does it; a job that says nothing replaces all, as the official block."""
    stand.says('{"objects": []}')
    there = [box("cat", 1, 1, 5, 5), box("cow", 2, 2, 5, 5)]
    labeled = await detect(opened, *there, delete_existing_bounding_boxes=how)
    assert [found.label for found in labeled.draft.boxes] == kept
    assert DetectParameters.model_validate({"prompt": "x"}).delete_existing_bounding_boxes == "yes"


async def test_a_huge_picture_is_scaled_and_its_boxes_back(opened: "Open", stand: "Stand") -> None:
    """Above 30,000 patches the model sees a smaller one; boxes are in the sample's pixels."""
    image = scene(8000, 5000)
    stand.says(json.dumps({"objects": [one("cat", 0, 0, 3463, 2164)]}))
    labeler = await opened(detect_llm())
    (outcome,) = await labeler.label([task_of(searched(), image=image, size=(8000, 5000))])
    assert isinstance(outcome, Labeled)
    (found,) = outcome.draft.boxes
    assert abs(found.width - 4000) < 8
    assert "The image is 69" in stand.desk.requests[0]["messages"][0]["content"][0]["text"]


@pytest.mark.parametrize(
    "said",
    [
        '{"objects": 7}',
        '{"objects": [7]}',
        json.dumps({"objects": [one("cow", 0, 0, 1, 1)]}),
        json.dumps({"objects": [{"label": "cat", "confidence": 1}]}),
        '{"objects": [{"label": "cat", "confidence": 1, "x_min": NaN, "y_min": 0, "x_max": 1, "y_max": 1}]}',
    ],
)
async def test_useless_answers_refuse_the_sample(opened: "Open", stand: "Stand", said: str) -> None:
    """A wrong label and what is no number are no boxes."""
    stand.says(said, said)
    with pytest.raises(SampleRefused, match="asked twice"):
        await detect(opened)


@pytest.mark.parametrize("corners", [(0.1, 0.1, 0.5, 0.6), (50, 60, 10, 20), (5, 5, 5, 5)])
async def test_boxes_without_a_pixel_delete_no_others(
    opened: "Open", stand: "Stand", corners: tuple[float, ...]
) -> None:
    """Ratios or exchanged corners are no finding of nothing, which would empty the sample."""
    said = json.dumps({"objects": [one("cat", *corners)]})
    stand.says(said, said)
    (outcome,) = await (await opened(detect_llm())).label([task_of(searched(), box("dog", 1, 1, 9, 9))])
    assert isinstance(outcome, SampleRefused)
    assert "none of its boxes has a pixel" in str(outcome)


async def test_one_box_without_a_pixel_is_left_out(opened: "Open", stand: "Stand") -> None:
    """The others are taken, as the official block does."""
    stand.says(json.dumps({"objects": [one("cat", 5, 5, 5, 5), one("cat", 1, 2, 30, 40)]}))
    (outcome,) = await (await opened(detect_llm())).label([task_of(searched())])
    assert isinstance(outcome, Labeled)
    assert [(found.x, found.width) for found in outcome.draft.boxes] == [(1, 29)]


def test_the_prompt_is_read_as_the_official_block_reads_it() -> None:
    """The first parentheses hold the label; lines without an object are errors that name the line."""
    assert parse_objects(" A cat (cat) (x)\n\ndog\n") == (
        SearchedObject("A cat", "cat"),
        SearchedObject("dog", "dog"),
    )
    with pytest.raises(ValidationError, match="line 2 names no object"):
        searched(prompt="cat\n(dog)")
