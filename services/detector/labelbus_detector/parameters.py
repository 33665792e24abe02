"""The parameters of `owl-vit`: the official block's, by its names, and three of our own.

`value` is what Edge Impulse's form shows at first, as in the official block; a job that says nothing gets
the field's default.
"""

from typing import Annotated

from labelbus_labeling.fields import (
    BoxDeletion,
    LargestObject,
    NmsIouThreshold,
    NonMaxSuppression,
    OptionalRatio,
    SmallestObject,
    extra,
    unescaped,
)
from labelbus_labeling.labeler import LabelerParameters
from pydantic import AfterValidator, Field

from labelbus_detector.prompt import parse_prompt


def _read(text: str) -> str:
    parse_prompt(text)
    return unescaped(text)


Prompt = Annotated[str, AfterValidator(_read)]


class OwlVitParameters(LabelerParameters):
    """What to search for, and what to do with what is found and with the boxes that are there already."""

    prompt: Prompt = Field(
        title="Prompt",
        description="The objects to label, one per line: 'search phrase (label, minimum confidence)'. "
        "Label and minimum confidence may be left out.",
        json_schema_extra=extra(
            "--prompt",
            multiline=True,
            value="A person (person, 0.2)",
            placeholder="A person (person, 0.2)",
            hint="One object per line, e.g. 'A person (person, 0.2)': label and minimum confidence "
            "stand in the parentheses.",
        ),
    )
    delete_existing_bounding_boxes: BoxDeletion = "no"
    ignore_objects_smaller_than: SmallestObject = None
    ignore_objects_larger_than: LargestObject = None
    nms: NonMaxSuppression = False
    nms_iou_threshold: NmsIouThreshold = 0.2
    clip: bool = Field(
        default=True,
        title="Clip boxes to the image",
        description="Cut off what reaches beyond the image. The official block leaves it.",
        json_schema_extra=extra("--clip", type="boolean", section="advanced"),
    )
    threshold: OptionalRatio = Field(
        default=None,
        title="Detection threshold",
        description="Scores up to this are never looked at, whatever the prompt's minimum confidence. "
        "0.1 when absent and the model runs here; the endpoint's own when it does not.",
        json_schema_extra=extra("--threshold", section="advanced"),
    )
    write_metadata: bool = Field(
        default=True,
        title="Write metadata",
        description="Set the sample's metadata 'labeled_by' and 'prompt', as the official block does.",
        json_schema_extra=extra("--write-metadata", type="boolean", section="advanced"),
    )
