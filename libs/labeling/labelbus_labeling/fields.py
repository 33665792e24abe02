"""Fields that the parameter models of labelers share, and what a field says to Edge Impulse's form.

They are types, not a base class: each model keeps its fields in the order of its official form.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, JsonValue

from labelbus_labeling.geometry import Deletion


def extra(param: str, **more: JsonValue) -> dict[str, Any]:
    """Return what a field says to Edge Impulse's form: its official name, and more.

    `value` is what the form shows at first; a job that says nothing gets the field's default.
    """
    return {"param": param, **more}


def deletion(matching: str) -> dict[str, Any]:
    """Return what `BoxDeletion` says to the form, with the form's text for the second choice."""
    choices: list[JsonValue] = [
        {"label": "No", "value": "no"},
        {"label": matching, "value": "matching-prompt"},
        {"label": "Yes", "value": "yes"},
    ]
    return extra("--delete_existing_bounding_boxes", valid=choices)


def unescaped(text: str) -> str:
    """Replace backslash-n by a newline: Studio hands over values of several lines like that."""
    return text.replace("\\n", "\n")


def blank_is_absent(value: object) -> object:
    """Take a blank text, which is what an empty field of a form gives, for nothing at all."""
    return None if isinstance(value, str) and not value.strip() else value


Ratio = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
OptionalRatio = Annotated[Ratio | None, BeforeValidator(blank_is_absent)]
Percent = Annotated[
    Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None, BeforeValidator(blank_is_absent)
]
BoxDeletion = Annotated[
    Deletion,
    Field(
        title="Delete existing bounding boxes",
        description="Which boxes to remove before the new ones are added: none, those whose label the "
        "prompt gives, or all.",
        json_schema_extra=deletion("Only if they match any labels in the prompt"),
    ),
]
SmallestObject = Annotated[
    Percent,
    Field(
        title="Ignore objects smaller than (%)",
        description="Leave out objects whose box covers less than this share of the image, in percent. "
        "0 leaves out none.",
        json_schema_extra=extra("--ignore-objects-smaller-than", value=0),
    ),
]
LargestObject = Annotated[
    Percent,
    Field(
        title="Ignore objects larger than (%)",
        description="Leave out objects whose box covers more than this share of the image, in percent. "
        "0 leaves out none.",
        json_schema_extra=extra("--ignore-objects-larger-than", value=100),
    ),
]
NonMaxSuppression = Annotated[
    bool,
    Field(
        title="Non-max suppression",
        description="Keep only the best of new boxes that overlap and have one label (NMS).",
        json_schema_extra=extra("--nms", type="flag", value="true"),
    ),
]
NmsIouThreshold = Annotated[
    Ratio,
    Field(
        title="NMS IoU threshold",
        description="Boxes whose intersection over union is greater than this count as one object.",
        json_schema_extra=extra("--nms-iou-threshold", value="0.2", show_if=["nms", "eq", "true"]),
    ),
]
