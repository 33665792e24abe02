"""Which samples a block works on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from labelbus_cli.choice import Choice, chosen
from labelbus_cli.errors import BadInput
from labelbus_contracts.jobs import DataFilter
from labelbus_labeling.labeler import Registration
from labelbus_relabeler import images, validate
from labelbus_relabeler.parameters import ImagesParameters, ValidateParameters

NAMING = ImagesParameters(prompt="What is it?")
CHECKING = ValidateParameters(validation_prompt="- It is wrong")


def test_named_samples_are_taken_and_a_limit_takes_the_lowest(tmp_path: Path) -> None:
    """As the official blocks do; repetitions are dropped and told."""
    file = tmp_path / "ids.json"
    file.write_text(json.dumps([9, 3, 3, 5]))
    assert chosen(file, None, images(), NAMING) == Choice((9, 3, 5), 1)
    assert chosen(file, 2, images(), NAMING).ids == (3, 5)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (chosen(None, None, images(), NAMING), "the unlabeled images"),
        (chosen(None, 5, images(), NAMING), "the unlabeled images, 5 at most"),
        (
            chosen(None, None, images(), NAMING.model_copy(update={"auto_convert_videos": True})),
            "the unlabeled images and videos",
        ),
        (chosen(None, None, validate(), CHECKING), "the enabled images with labels"),
        (Choice((1, 2)), "2 samples"),
        (Choice(data=DataFilter()), "the samples"),
    ],
)
def test_what_a_labeler_chooses_is_said(choice: Choice, said: str) -> None:
    """The official blocks' rules: images without a label, enabled images with a box."""
    assert choice.said == said


def test_other_blocks_must_be_named_samples() -> None:
    """The argument that lacks is named."""
    silent: Registration = replace(images(), chooses=None)
    with pytest.raises(BadInput, match="Missing --data-ids-file"):
        chosen(None, None, silent, NAMING)
