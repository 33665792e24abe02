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
from labelbus_labeling.geometry import clipped, has_wanted_area, in_studio_frame
from labelbus_labeling.images import Frame
from labelbus_labeling.nms import kept_by_label

from labelbus_detector.detections import Detected, Detection
from labelbus_detector.parameters import OwlVitParameters
from labelbus_detector.prompt import PromptLine


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
    return has_wanted_area(
        one.corners,
        frame.width,
        frame.height,
        smallest=parameters.ignore_objects_smaller_than,
        largest=parameters.ignore_objects_larger_than,
    )


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
        x1, y1, x2, y2 = clipped((x1, y1, x2, y2), width, height)
    if x2 - x1 < 1 or y2 - y1 < 1:
        return None
    score = min(max(one.detection.score, 0.0), 1.0)
    return BoundingBox(label=one.label, x=x1, y=y1, width=x2 - x1, height=y2 - y1, score=score, source=source)
