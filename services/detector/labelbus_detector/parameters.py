"""The parameters of `owl-vit`: the official block's, by its names, and three of our own.

`value` is what Edge Impulse's form shows at first, as in the official block; a job that says nothing gets
the field's default.
"""

from typing import Annotated, Any

from labelbus_labeling.geometry import Deletion
from labelbus_labeling.labeler import LabelerParameters
from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from labelbus_detector.prompt import parse_prompt, unescaped


def _read(text: str) -> str:
    parse_prompt(text)
    return unescaped(text)


def _blank_is_absent(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _extra(param: str, **more: JsonValue) -> dict[str, Any]:
    return {"param": param, **more}


Prompt = Annotated[str, AfterValidator(_read)]
Percent = Annotated[
    Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None, BeforeValidator(_blank_is_absent)
]
Ratio = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
OptionalRatio = Annotated[Ratio | None, BeforeValidator(_blank_is_absent)]


class OwlVitParameters(LabelerParameters):
    """What to search for, and what to do with what is found and with the boxes that are there already."""

    prompt: Prompt = Field(
        title="Prompt",
        description="The objects to label, one per line: 'search phrase (label, minimum confidence)'. "
        "Label and minimum confidence may be left out.",
        json_schema_extra=_extra(
            "--prompt",
            multiline=True,
            value="A person (person, 0.2)",
            placeholder="A person (person, 0.2)",
            hint="One object per line, e.g. 'A person (person, 0.2)': label and minimum confidence "
            "stand in the parentheses.",
        ),
    )
    delete_existing_bounding_boxes: Deletion = Field(
        default="no",
        title="Delete existing bounding boxes",
        description="Which boxes to remove before the new ones are added: none, those whose label the "
        "prompt gives, or all.",
        json_schema_extra=_extra(
            "--delete_existing_bounding_boxes",
            valid=[
                {"label": "No", "value": "no"},
                {"label": "Only if they match any labels in the prompt", "value": "matching-prompt"},
                {"label": "Yes", "value": "yes"},
            ],
        ),
    )
    ignore_objects_smaller_than: Percent = Field(
        default=None,
        title="Ignore objects smaller than (%)",
        description="Leave out objects whose box covers less than this share of the image, in percent. "
        "0 leaves out none.",
        json_schema_extra=_extra("--ignore-objects-smaller-than", value=0),
    )
    ignore_objects_larger_than: Percent = Field(
        default=None,
        title="Ignore objects larger than (%)",
        description="Leave out objects whose box covers more than this share of the image, in percent. "
        "0 leaves out none.",
        json_schema_extra=_extra("--ignore-objects-larger-than", value=100),
    )
    nms: bool = Field(
        default=False,
        title="Non-max suppression",
        description="Keep only the best of new boxes that overlap and have one label (NMS).",
        json_schema_extra=_extra("--nms", type="flag", value="true"),
    )
    nms_iou_threshold: Ratio = Field(
        default=0.2,
        title="NMS IoU threshold",
        description="Boxes whose intersection over union is greater than this count as one object.",
        json_schema_extra=_extra("--nms-iou-threshold", value="0.2", show_if=["nms", "eq", "true"]),
    )
    clip: bool = Field(
        default=True,
        title="Clip boxes to the image",
        description="Cut off what reaches beyond the image. The official block leaves it.",
        json_schema_extra=_extra("--clip", type="boolean", section="advanced"),
    )
    threshold: OptionalRatio = Field(
        default=None,
        title="Detection threshold",
        description="Scores up to this are never looked at, whatever the prompt's minimum confidence. "
        "0.1 when absent and the model runs here; the endpoint's own when it does not.",
        json_schema_extra=_extra("--threshold", section="advanced"),
    )
    write_metadata: bool = Field(
        default=True,
        title="Write metadata",
        description="Set the sample's metadata 'labeled_by' and 'prompt', as the official block does.",
        json_schema_extra=_extra("--write-metadata", type="boolean", section="advanced"),
    )
