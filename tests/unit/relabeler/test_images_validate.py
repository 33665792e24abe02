"""Whole images: a label with its reason, and a verdict about boxes."""

import json
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from labelbus_contracts.labels import LabelPart
from labelbus_labeling.labeler import Labeled, LabelerParameters, Registration
from labelbus_labeling.testing import LabelerConformance
from labelbus_relabeler import images, validate
from labelbus_relabeler.parameters import ImagesParameters, ValidateParameters
from labelbus_runtime.errors import SampleRefused

from .conftest import box, scene, task_of

if TYPE_CHECKING:
    from labelbus_labeling.labeler import Labeler

    from .conftest import Open, Stand

PROMPT = 'Is there a person? Say "yes", "no" or "unsure".'
NAMING = ImagesParameters.model_validate({"prompt": PROMPT, "disable_labels": "unsure"})
CHECKING = ValidateParameters.model_validate(
    {"validation_prompt": "- The boxes are wrong", "dataset_labels": "cat, dog"}
)


class TestImages(LabelerConformance):
    """The suite of every labeler."""

    registration = images()
    parameters: ClassVar = [NAMING, NAMING.model_copy(update={"allowed_labels": ("red square", "other")})]
    changes: ClassVar[frozenset[LabelPart]] = frozenset({"label", "disabled"})

    @pytest.fixture
    async def labeler(self, opened: "Open") -> "Labeler":
        """Give the labeler on the stand-in."""
        return await opened(self.registration)


class TestValidate(LabelerConformance):
    """The suite of every labeler."""

    registration = validate()
    parameters: ClassVar = [CHECKING]
    changes: ClassVar[frozenset[LabelPart]] = frozenset({"disabled"})

    @pytest.fixture
    async def labeler(self, opened: "Open") -> "Labeler":
        """Give the labeler on the stand-in."""
        return await opened(self.registration)


async def label(
    opened: "Open", registration: Registration, parameters: LabelerParameters, **more: Any
) -> Labeled:
    """Label one task."""
    labeler = await opened(registration)
    (outcome,) = await labeler.label([task_of(parameters, **more)])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def test_an_image_gets_a_label_and_a_reason(opened: "Open", stand: "Stand") -> None:
    """Case stays, wrapping goes; metadata of others stays beside reason and prompt."""
    stand.says(json.dumps({"label": "**Yes**.", "reason": "A man walks."}))
    labeled = await label(opened, images(), NAMING, metadata={"site": "A"})
    assert labeled.draft.label is not None
    assert (labeled.draft.label.label, labeled.draft.label.source) == ("Yes", "step#0")
    assert labeled.draft.metadata == {"site": "A", "reason": "A man walks.", "prompt": PROMPT}
    assert not labeled.draft.disabled


async def test_a_disabling_answer_disables_whatever_its_case(opened: "Open", stand: "Stand") -> None:
    """ "Unsure." is unsure; and a disabled sample is never enabled again."""
    stand.says('```json\n{"label": "Unsure.", "reason": "Too dark."}\n```')
    assert (await label(opened, images(), NAMING)).draft.disabled
    stand.says('{"label": "yes", "reason": "A man."}')
    assert (await label(opened, images(), NAMING, disabled=True)).draft.disabled


@pytest.mark.parametrize(
    "said",
    [
        "",
        "yes",
        "[1]",
        '{"label": "yes"}',
        '{"label": ["a", "b"], "reason": "x"}',
        '{"label": "да", "reason": "x"}',
    ],
)
async def test_useless_answers_refuse_the_sample(opened: "Open", stand: "Stand", said: str) -> None:
    """Asked twice, then refused with a reason."""
    stand.says(said, said)
    with pytest.raises(SampleRefused, match="asked twice"):
        await label(opened, images(), NAMING)


async def test_a_png_is_sent_as_it_is_and_a_bmp_as_jpeg(opened: "Open", stand: "Stand") -> None:
    """Providers read PNG; what they do not read is encoded anew."""
    await label(opened, images(), NAMING)
    await label(opened, images(), NAMING, image=scene(format="BMP"))
    sent = [one["messages"][-1]["content"][-1]["image_url"]["url"][:16] for one in stand.desk.requests]
    assert sent == ["data:image/png;b", "data:image/jpeg;"]


@pytest.mark.parametrize("verdict", ["valid", "invalid"])
async def test_an_invalid_sample_is_disabled(opened: "Open", stand: "Stand", verdict: str) -> None:
    """The verdict and its reason are metadata, boxes stay, and the model is told of every box."""
    stand.says(json.dumps({"label": verdict, "reason": "Because."}))
    labeler = await opened(validate())
    (outcome,) = await labeler.label([task_of(CHECKING, box("cat", 1, 2, 30, 40), metadata={"site": "A"})])
    assert isinstance(outcome, Labeled)
    assert outcome.draft.disabled is (verdict == "invalid")
    assert outcome.draft.metadata == {"site": "A", "reason": "Because.", "validation": verdict}
    assert len(outcome.draft.boxes) == 1
    text = stand.desk.requests[0]["messages"][-1]["content"][0]["text"]
    assert "cat: x 1, y 2, width 30, height 40" in text
    assert "- The boxes are wrong" in text
    assert "Labels of the dataset: cat, dog." in text


async def test_another_verdict_is_no_verdict(opened: "Open", stand: "Stand") -> None:
    """What is neither valid nor invalid is asked for again, then refused."""
    answer = '{"label": "mostly valid", "reason": "x"}'
    stand.says(answer, answer)
    with pytest.raises(SampleRefused, match="none of the allowed labels"):
        await label(opened, validate(), CHECKING)
