"""The parameters of the labelers: the official blocks', by their names, and some of our own.

`value` is what Edge Impulse's form shows at first, as in the official blocks; a job that says nothing gets
the field's default.
"""

from collections.abc import Iterable
from typing import Annotated, Final, Literal

from labelbus_labeling.fields import (
    BoxDeletion,
    LargestObject,
    NmsIouThreshold,
    NonMaxSuppression,
    OptionalRatio,
    Ratio,
    SmallestObject,
    blank_is_absent,
    deletion,
    extra,
    unescaped,
)
from labelbus_labeling.labeler import LabelerParameters
from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from labelbus_relabeler.answers import tidied
from labelbus_relabeler.objects import parse_objects

Detail = Literal["auto", "low", "high"]


_PERSON: Final = (
    'Is there a person in this picture? Respond only with "yes", "no" or "unsure" if you\'re not sure.'
)
_ANIMAL: Final = (
    "What kind of animal is this? Respond with only the name of the animal. "
    "If this is not animal, say 'remove'."
)
_ONE_LABEL: Final = (
    'The answer should be a single label, e.g. \'Is there a person, respond only with "yes" or "no"\'.'
)


def _listed(value: object) -> object:
    """Split a text at commas and line ends; lists come from actions."""
    if isinstance(value, str):
        value = unescaped(value).replace("\n", ",").split(",")
    return value


def _labels(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label for label in map(tidied, values) if label))


def _trimmed(values: Iterable[str]) -> tuple[str, ...]:
    """Keep what boxes are called as it is: dots and underscores may be a part of it."""
    return tuple(dict.fromkeys(label for label in map(str.strip, values) if label))


def _some(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("name one label at least")
    return values


def _said(text: str) -> str:
    text = unescaped(text)
    if not text.strip():
        raise ValueError("it is empty")
    return text


Prompt = Annotated[str, AfterValidator(_said)]
Labels = Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_labels)]
BoxLabels = Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_trimmed)]
SomeBoxLabels = Annotated[BoxLabels, AfterValidator(_some)]

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
    BeforeValidator(blank_is_absent),
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

    which_labels: SomeBoxLabels = Field(
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
            "--prompt", value=_ANIMAL, multiline=True, placeholder=_ANIMAL, hint=_ONE_LABEL
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
    max_score: OptionalRatio = Field(
        default=None,
        title="Only boxes scored up to",
        description="Ask only about boxes that an earlier step of the action scored this or less. Others, "
        "and boxes without a score, such as a person's, stay as they are.",
        json_schema_extra=extra("--max-score", type="float", section="advanced"),
    )
    model: Model = None


class ImagesParameters(LabelerParameters):
    """What to ask about a whole image, and which answers disable it."""

    prompt: Prompt = Field(
        title="Prompt",
        description="What to ask about each image. The answer should be a single label.",
        json_schema_extra=extra(
            "--prompt",
            value=_PERSON,
            multiline=True,
            placeholder=_PERSON,
            hint=_ONE_LABEL,
        ),
    )
    disable_labels: Labels = Field(
        default=(),
        title="Disable samples w/ label",
        description="Answers that disable the sample, separated by commas: it is not trained on then.",
        json_schema_extra=extra("--disable-labels", value="unsure"),
    )
    image_quality: ImageQuality = "auto"
    concurrency: Concurrency = 10
    auto_convert_videos: bool = Field(
        default=False,
        title="Auto-convert videos",
        description="Split videos into frames, and label these. A preview splits none.",
        json_schema_extra=extra("--auto-convert-videos"),
    )
    extract_frames_per_second: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=10,
        title="Extract no. of frames per second",
        description="How many frames to make of each second of a video.",
        json_schema_extra=extra(
            "--extract-frames-per-second", show_if=["auto_convert_videos", "eq", "true"], type="int"
        ),
    )
    allowed_labels: AllowedLabels = ()
    model: Model = None


class ValidateParameters(LabelerParameters):
    """What makes an image with its boxes invalid."""

    validation_prompt: Prompt = Field(
        title="Validation prompt",
        description="The sample is disabled where one of these is true.",
        json_schema_extra=extra(
            "--validation-prompt",
            value="- The bounding boxes and labels do not correspond to to the objects in the image\n"
            "- The image is not clear enough to determine the objects in the image\n"
            "- There is text overlay visible on this image",
            multiline=True,
            hint="Put each prompt on a new line, and start with a -",
        ),
    )
    image_quality: ImageQuality = "auto"
    concurrency: Concurrency = 10
    dataset_labels: BoxLabels = Field(
        default=(),
        title="Labels of the dataset",
        description="The labels that boxes may have, separated by commas, told to the model. "
        "Empty tells it those of the project.",
        json_schema_extra=extra("--dataset-labels", section="advanced", value="", optional=True),
    )
    model: Model = None


def _objects(text: str) -> str:
    parse_objects(text)
    return text


class DetectParameters(LabelerParameters):
    """What to search for, and what to do with what is found and with the boxes that are there already."""

    prompt: Annotated[Prompt, AfterValidator(_objects)] = Field(
        title="Prompt",
        description="The objects to label, one per line, with the label in parentheses, "
        "e.g. 'A person (person)'. Without parentheses the line is the label.",
        json_schema_extra=extra(
            "--prompt",
            value="Person (person)\nCar (vehicle)",
            multiline=True,
            placeholder="Objects to label, one per line. Put the label in parentheses.",
            hint="Separate multiple objects with a newline. You can specify the label in the parenthesis "
            "(e.g. 'A person (person)').",
        ),
    )
    reasoning_effort: Literal["none", "low", "medium", "high", "xhigh", "max"] = Field(
        default="medium",
        title="Reasoning effort",
        description="How long the model thinks. More can place boxes better, costs more and takes longer.",
        json_schema_extra=extra(
            "--reasoning-effort",
            valid=[
                {"label": "Low", "value": "low"},
                {"label": "Medium", "value": "medium"},
                {"label": "High", "value": "high"},
                {"label": "Extra high", "value": "xhigh"},
                {"label": "Max", "value": "max"},
            ],
        ),
    )
    delete_existing_bounding_boxes: BoxDeletion = Field(
        default="yes", json_schema_extra=deletion("Only if it matches the label")
    )
    ignore_objects_smaller_than: SmallestObject = None
    ignore_objects_larger_than: LargestObject = None
    nms: NonMaxSuppression = False
    nms_iou_threshold: NmsIouThreshold = 0.2
    min_confidence: Ratio = Field(
        default=0.0,
        title="Minimum confidence",
        description="Leave out objects of which the model is less sure than this.",
        json_schema_extra=extra("--min-confidence", section="advanced"),
    )
    concurrency: Concurrency = 10
    model: Model = None
