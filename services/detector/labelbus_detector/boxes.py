"""From detections to a sample's boxes, in the official block's order.

1. Each line of the prompt judges the detections of its phrase: a score below its minimum is dropped.
2. Area filters, on the box as it was predicted (before clipping), in percent of the image.
3. Non-max suppression for each output label, among the new boxes only.
Then ours: 4. into the frame of Studio's `imageDimensions`; 5. clipped; 6. boxes narrower or lower than a
pixel go, since Studio refuses them; 7. a box that is already there, label and four integers, is not added.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from labelbus_contracts.labels import BoundingBox, SampleFacts
from labelbus_labeling.images import Frame

from labelbus_detector.detections import Detected, Detection
from labelbus_detector.nms import kept_by_label
from labelbus_detector.parameters import Deletion, OwlVitParameters
from labelbus_detector.prompt import PromptLine

Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class _Candidate:
    label: str
    detection: Detection

    @property
    def corners(self) -> tuple[int, int, int, int]:
        found = self.detection
        return (found.xmin, found.ymin, found.xmax, found.ymax)


def found_boxes(
    detected: Detected,
    lines: Sequence[PromptLine],
    parameters: OwlVitParameters,
    facts: SampleFacts,
    source: str | None = None,
) -> tuple[BoundingBox, ...]:
    """Return the new boxes of a sample in the order of prediction, in pixels of Studio's image."""
    frame = detected.frame
    candidates = [one for one in _judged(detected, lines) if _has_wanted_area(one, frame, parameters)]
    if parameters.nms:
        candidates = _suppressed(candidates, parameters.nms_iou_threshold)
    boxes = (_box(one, frame, facts, clip=parameters.clip, source=source) for one in candidates)
    return tuple(box for box in boxes if box is not None)


def merged_boxes(
    existing: Sequence[BoundingBox],
    found: Sequence[BoundingBox],
    lines: Sequence[PromptLine],
    deletion: Deletion,
) -> tuple[BoundingBox, ...]:
    """Return the boxes that stay, then the found ones that are not among them already."""
    labels = {line.label for line in lines}
    stay = {
        "no": existing,
        "matching-prompt": [box for box in existing if box.label not in labels],
        "yes": [],
    }[deletion]
    result = list(stay)
    seen = {box.content for box in result}
    for box in found:
        if box.content not in seen:
            seen.add(box.content)
            result.append(box)
    return tuple(result)


def in_studio_frame(corners: Corners, frame: Frame, width: int, height: int) -> Corners:
    """Map corners of the upright image to an image of `width` * `height`.

    Where those say that Studio holds the file's unturned pixels (landscape for portrait), the box is
    turned back first; other differences are scale.
    """
    upright_width, upright_height = frame.width, frame.height
    if frame.is_turned and (upright_width > upright_height, width > height) in {(True, False), (False, True)}:
        corners = _turned_back(corners, frame)
        upright_width, upright_height = upright_height, upright_width
    x_scale, y_scale = width / upright_width, height / upright_height
    x1, y1, x2, y2 = corners
    return (x1 * x_scale, y1 * y_scale, x2 * x_scale, y2 * y_scale)


def _judged(detected: Detected, lines: Sequence[PromptLine]) -> Iterator[_Candidate]:
    by_phrase: dict[str, list[PromptLine]] = {}
    for line in lines:
        by_phrase.setdefault(line.phrase, []).append(line)
    for detection in detected.detections:
        passed = (
            line.label
            for line in by_phrase.get(detection.phrase, [])
            if detection.score >= line.min_confidence
        )
        for label in dict.fromkeys(passed):
            yield _Candidate(label, detection)


def _has_wanted_area(one: _Candidate, frame: Frame, parameters: OwlVitParameters) -> bool:
    x1, y1, x2, y2 = one.corners
    percent = (x2 - x1) * (y2 - y1) / (frame.width * frame.height) * 100
    smallest, largest = parameters.ignore_objects_smaller_than, parameters.ignore_objects_larger_than
    return not ((smallest and percent < smallest) or (largest and percent > largest))


def _suppressed(candidates: list[_Candidate], iou_threshold: float) -> list[_Candidate]:
    if not candidates:
        return candidates
    corners = np.array([one.corners for one in candidates], np.float64)
    scores = np.array([one.detection.score for one in candidates], np.float64)
    mask = kept_by_label(corners, scores, [one.label for one in candidates], iou_threshold)
    return [one for one, stays in zip(candidates, mask, strict=True) if stays]


def _box(
    one: _Candidate, frame: Frame, facts: SampleFacts, *, clip: bool, source: str | None
) -> BoundingBox | None:
    width, height = facts.width or frame.width, facts.height or frame.height
    x1, y1, x2, y2 = (round(edge) for edge in in_studio_frame(one.corners, frame, width, height))
    if clip:
        x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    if x2 - x1 < 1 or y2 - y1 < 1:
        return None
    score = min(max(one.detection.score, 0.0), 1.0)
    return BoundingBox(label=one.label, x=x1, y=y1, width=x2 - x1, height=y2 - y1, score=score, source=source)


def _turned_back(corners: Corners, frame: Frame) -> Corners:
    """Undo the EXIF orientations 5 to 8, which exchange rows and columns."""
    x1, y1, x2, y2 = corners
    left, right = (y1, y2) if frame.orientation in {5, 6} else (frame.height - y2, frame.height - y1)
    top, bottom = (x1, x2) if frame.orientation in {5, 8} else (frame.width - x2, frame.width - x1)
    return (left, top, right, bottom)
