"""The parameters of the labelers: the official blocks', by their names, and some of our own.

`value` is what Edge Impulse's form shows at first, as in the official blocks; a job that says nothing gets
the field's default.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from labelbus_labeling.labeler import LabelerParameters
from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from labelbus_relabeler.answers import tidied

Detail = Literal["auto", "low", "high"]


def _listed(value: object) -> object:
    """Split a text at commas and line ends; lists come from actions."""
    if isinstance(value, str):
        value = value.replace("\\n", "\n").replace("\n", ",").split(",")
    return value


def _labels(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label for label in map(tidied, values) if label))


def _some(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("name one label at least")
    return values


def _said(text: str) -> str:
    text = text.replace("\\n", "\n")
    if not text.strip():
        raise ValueError("it is empty")
    return text


def _blank_is_absent(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def extra(param: str, **more: JsonValue) -> dict[str, Any]:
    """Return what a field says to Edge Impulse's form."""
    return {"param": param, **more}


Prompt = Annotated[str, AfterValidator(_said)]
Labels = Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_labels)]
SomeLabels = Annotated[Labels, AfterValidator(_some)]

_QUALITIES: list[JsonValue] = [
    {"label": "Auto, depending on image input size", "value": "auto"},
    {"label": "Low-res mode ", "value": "low"},
    {"label": "High-res mode", "value": "high"},
]


ImageQuality = Annotated[
    Detail,
    Field(
        title="Image quality",
        description="In how much detail the model sees the image. Low costs fewer tokens.",
        json_schema_extra=extra("--image-quality", valid=_QUALITIES),
    ),
]
Concurrency = Annotated[
    int,
    Field(
        ge=1,
        le=1000,
        title="Concurrency",
        description="Calls of the model at a time, in one process and job.",
        json_schema_extra=extra("--concurrency", type="int"),
    ),
]
Model = Annotated[
    str | None,
    BeforeValidator(_blank_is_absent),
    Field(
        title="Model",
        description="The model that answers, instead of the one that the environment names (OPENAI_MODEL).",
        json_schema_extra=extra("--model", section="advanced"),
    ),
]
AllowedLabels = Annotated[
    Labels,
    Field(
        title="Allowed labels",
        description="The only labels that may be answered, separated by commas. Empty allows any.",
        json_schema_extra=extra("--allowed-labels", section="advanced", value="", optional=True),
    ),
]


class RelabelParameters(LabelerParameters):
    """Which boxes to ask about, what to ask, and which answers remove the box."""

    which_labels: SomeLabels = Field(
        title="Which bounding boxes to re-label?",
        description="The labels of the boxes to ask about, separated by commas. Case does not matter.",
        json_schema_extra=extra(
            "--which-labels",
            value="animal",
            multiline=True,
            placeholder="animal, bottle",
            hint="Separate by a comma if you have multiple bounding boxes",
        ),
    )
    prompt: Prompt = Field(
        title="Prompt",
        description="What to ask about each box, whose part of the image is shown. "
        "The answer should be a single label.",
        json_schema_extra=extra(
            "--prompt",
            value="What kind of animal is this? Respond with only the name of the animal. "
            "If this is not animal, say 'remove'.",
            multiline=True,
            placeholder="What kind of animal is this? Respond with only the name of the animal. "
            "If this is not animal, say 'remove'.",
            hint="The answer should be a single label, e.g. 'Is there a person, respond only with "
            '"yes" or "no"\'.',
        ),
    )
    disable_labels: Labels = Field(
        default=(),
        title="Remove bounding boxes w/ label",
        description="Answers that remove the box, separated by commas.",
        json_schema_extra=extra("--disable-labels", value="remove"),
    )
    image_quality: ImageQuality = "auto"
    concurrency: Concurrency = 10
    allowed_labels: AllowedLabels = ()
    context_margin: Annotated[float, Field(ge=0, le=500, allow_inf_nan=False)] = Field(
        default=0.0,
        title="Context around the box (%)",
        description="How much of the image around a box is shown, in percent of its width and height.",
        json_schema_extra=extra("--context-margin", section="advanced"),
    )
    least_crop_px: Annotated[int, Field(ge=0, le=2048)] = Field(
        default=0,
        title="Enlarge small crops to (pixels)",
        description="Crops whose shorter side is below this are enlarged to it. 0 enlarges none.",
        json_schema_extra=extra("--least-crop-px", section="advanced", type="int"),
    )
    model: Model = None
