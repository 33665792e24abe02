"""The labeler `detect-llm`: boxes from a vision language model, by structured output."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from labelbus_contracts.labels import BoundingBox, SampleFacts
from labelbus_labeling.geometry import clipped, has_wanted_area, in_studio_frame, merged_boxes
from labelbus_labeling.images import Frame, frame_of, open_image
from labelbus_labeling.labeler import Labeled, LabelTask
from labelbus_labeling.nms import kept_by_label
from PIL import Image

from labelbus_relabeler.answers import key_of, object_of, spelled
from labelbus_relabeler.asking import Asker
from labelbus_relabeler.errors import Unusable
from labelbus_relabeler.objects import SearchedObject, parse_objects
from labelbus_relabeler.parameters import DetectParameters
from labelbus_relabeler.pictures import png, upright
from labelbus_relabeler.questions import Detail, Picture, Question, object_schema

_EDGES: Final = ("x_min", "y_min", "x_max", "y_max")
_MOST_PATCHES: Final = 30_000
"""OpenAI refuses pictures of more patches of 32 * 32 pixels."""
_PATCH_PX: Final = 32
_MOST_TOKENS: Final = 8192
_PATIENCE: Final = 5.0
"""Finding boxes takes longer than naming a picture: the official block waits 300 s."""


@dataclass(frozen=True, slots=True)
class Found:
    """One object in pixels of the picture that the model saw."""

    label: str
    confidence: float
    corners: tuple[float, float, float, float]

    @property
    def has_pixels(self) -> bool:
        """Tell whether it is a pixel wide and high at least; ratios and exchanged corners are not."""
        x1, y1, x2, y2 = self.corners
        return x2 - x1 >= 1 and y2 - y1 >= 1


@dataclass(frozen=True, slots=True)
class _Shown:
    """The picture that the model sees, and the frame of the one that it was made from."""

    picture: Picture
    frame: Frame


async def detected(task: LabelTask, asker: Asker) -> Labeled:
    """Find the objects of the prompt. Raises `SampleRefused`, `RetryLater`."""
    parameters = task.parameters_as(DetectParameters)
    objects = parse_objects(parameters.prompt)
    labels = sorted({one.label for one in objects})
    shown = await asyncio.to_thread(_show, await task.media.image())
    manner = asker.manner(
        model=parameters.model,
        effort=parameters.reasoning_effort,
        concurrency=parameters.concurrency,
        patience=_PATIENCE,
    )
    question = Question(
        text=_instruction(objects, shown.picture),
        picture=shown.picture,
        detail=_detail(manner.model),
        schema=_schema(labels),
        max_output_tokens=_MOST_TOKENS,
    )
    asked = await asker.ask(task, question, manner, lambda answer: read_objects(answer, labels))
    found = found_boxes(asked.value, shown.picture, shown.frame, task.base.sample, parameters, task.source)
    boxes = merged_boxes(task.draft.boxes, found, set(labels), parameters.delete_existing_bounding_boxes)
    metadata = {
        "labeled_by": manner.model,
        "reasoning_effort": parameters.reasoning_effort,
        "prompt": question.text,
    }
    draft = task.draft.model_copy(update={"boxes": boxes, "metadata": {**task.draft.metadata, **metadata}})
    return Labeled(draft, model=asked.model, usage=asked.usage)


def read_objects(answer: str, labels: Sequence[str]) -> tuple[Found, ...]:
    """Read the objects of an answer. Raises `Unusable`."""
    listed = object_of(answer).get("objects")
    if not isinstance(listed, list):
        raise Unusable("its 'objects' are missing or no list")
    allowed = spelled(labels)
    found = tuple(_found(one, allowed) for one in listed)
    if found and not any(one.has_pixels for one in found):
        raise Unusable("none of its boxes has a pixel: they are to be in pixels, from x_min to x_max")
    return found


def found_boxes(
    found: Sequence[Found],
    picture: Picture,
    frame: Frame,
    facts: SampleFacts,
    parameters: DetectParameters,
    source: str,
) -> tuple[BoundingBox, ...]:
    """Scale to Studio's image, round, clip; then confidence, area filters and NMS for each label."""
    width, height = facts.width or frame.width, facts.height or frame.height
    seen = Frame(picture.width, picture.height, frame.orientation)
    boxes: list[BoundingBox] = []
    for one in found:
        x1, y1, x2, y2 = (round(edge) for edge in in_studio_frame(one.corners, seen, width, height))
        corners = clipped((x1, y1, x2, y2), width, height)
        x1, y1, x2, y2 = corners
        wanted = has_wanted_area(
            corners,
            width,
            height,
            smallest=parameters.ignore_objects_smaller_than,
            largest=parameters.ignore_objects_larger_than,
        )
        if x2 - x1 < 1 or y2 - y1 < 1 or not wanted or one.confidence < parameters.min_confidence:
            continue
        boxes.append(
            BoundingBox(
                label=one.label,
                x=x1,
                y=y1,
                width=x2 - x1,
                height=y2 - y1,
                score=one.confidence,
                source=source,
            )
        )
    return _suppressed(boxes, parameters.nms_iou_threshold) if parameters.nms else tuple(boxes)


def _suppressed(boxes: Sequence[BoundingBox], iou_threshold: float) -> tuple[BoundingBox, ...]:
    """Suppress boxes; of equal confidences, which models often give, the earlier box wins."""
    if not boxes:
        return ()
    backward = boxes[::-1]  # the shared NMS prefers the later index
    corners = [(box.x, box.y, box.x + box.width, box.y + box.height) for box in backward]
    scores = np.array([box.score or 0.0 for box in backward], np.float64)
    labels = [box.label for box in backward]
    mask = kept_by_label(np.array(corners, np.float64), scores, labels, iou_threshold)
    return tuple(box for box, stays in zip(boxes, mask[::-1], strict=True) if stays)


def _found(one: object, allowed: Mapping[str, str]) -> Found:
    if not isinstance(one, dict):
        raise Unusable("one of its objects is none")
    label = one.get("label")
    if not isinstance(label, str) or key_of(label) not in allowed:
        raise Unusable(f"it has a label that is none of {', '.join(allowed.values())}")
    x1, y1, x2, y2 = (_number(one, name) for name in _EDGES)
    confidence = min(max(_number(one, "confidence"), 0.0), 1.0)
    return Found(allowed[key_of(label)], confidence, (x1, y1, x2, y2))


def _number(one: Mapping[str, object], name: str) -> float:
    value = one.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unusable(f"the {name} of an object is no number")
    return float(value)


def _show(data: bytes) -> _Shown:
    with open_image(data) as opened:
        orientation = frame_of(opened).orientation
    image = upright(data)
    frame = Frame(image.width, image.height, orientation)
    return _Shown(png(_fitted(image)), frame)


def _fitted(image: Image.Image) -> Image.Image:
    """Scale a picture down until it has few enough patches."""
    scale = min(1.0, math.sqrt(_MOST_PATCHES / _patches(image.width, image.height)))
    if scale == 1.0:
        return image
    while True:
        width, height = max(1, int(image.width * scale)), max(1, int(image.height * scale))
        if _patches(width, height) <= _MOST_PATCHES:
            return image.resize((width, height), Image.Resampling.LANCZOS)
        scale *= 0.99


def _patches(width: int, height: int) -> int:
    return math.ceil(width / _PATCH_PX) * math.ceil(height / _PATCH_PX)


def _detail(model: str) -> Detail:
    """Ask for every pixel where the model knows how to."""
    return "original" if model.startswith(("gpt-5.", "gpt-6")) else "high"


def _instruction(objects: Sequence[SearchedObject], picture: Picture) -> str:
    targets = "\n".join(f'- {one.phrase}: label "{one.label}"' for one in objects)
    return (
        f"Find every instance of these objects in the image:\n{targets}\n"
        f"The image is {picture.width} * {picture.height} pixels; (0, 0) is its upper left corner. Give one "
        "tight bounding box per instance, in pixels, and a confidence from 0 to 1. "
        "Give an empty list where there is none of them."
    )


def _schema(labels: Sequence[str]) -> dict[str, object]:
    edges = {name: {"type": "integer"} for name in _EDGES}
    one = object_schema(
        {"label": {"type": "string", "enum": list(labels)}, "confidence": {"type": "number"}, **edges}
    )
    return object_schema({"objects": {"type": "array", "items": one}})
