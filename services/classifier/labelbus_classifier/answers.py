"""From what an impulse answers to labels: boxes in whole pixels of the image, or one label."""

from collections.abc import Mapping, Sequence
from typing import Final

from labelbus_contracts.labels import BoundingBox, ClassLabel
from labelbus_labeling.geometry import clipped
from labelbus_studio.project_calls import ScoredBox

_ANOMALY: Final = "anomaly"
"""A score beside those of the labels, which says how strange the image is."""
_SLACK: Final = 0.05
"""By how much shares of the image may reach beyond it."""


def boxes_of(
    found: Sequence[ScoredBox], size: tuple[int, int], *, kept: Mapping[str, str], source: str
) -> tuple[BoundingBox, ...]:
    """Return the boxes whose label `kept` names, renamed, clipped to an image of `size` (width, height).

    Studio's API says that boxes are shares of the image; what cannot be shares is taken as pixels.
    """
    width, height = size
    across, down = (width, height) if are_shares(found) else (1, 1)
    boxes = []
    for one in found:
        if one.label not in kept:
            continue
        corners = (
            round(one.x * across),
            round(one.y * down),
            round((one.x + one.width) * across),
            round((one.y + one.height) * down),
        )
        x1, y1, x2, y2 = clipped(corners, width, height)
        if x2 > x1 and y2 > y1:
            boxes.append(
                BoundingBox(
                    label=kept[one.label],
                    x=x1,
                    y=y1,
                    width=x2 - x1,
                    height=y2 - y1,
                    score=_within(one.score),
                    source=source,
                )
            )
    return tuple(boxes)


def are_shares(found: Sequence[ScoredBox]) -> bool:
    """Tell whether no coordinate could be a pixel beyond the first."""
    return all(max(one.x, one.y, one.width, one.height) <= 1 + _SLACK for one in found)


def label_of(scores: Mapping[str, float], *, source: str) -> ClassLabel | None:
    """Return the label that scores most; the first of equals, as the official block. None without any."""
    labels = {label: score for label, score in scores.items() if label.lower() != _ANOMALY}
    if not labels:
        return None
    best = max(labels, key=lambda label: labels[label])
    return ClassLabel(label=best, score=_within(labels[best]), source=source)


def _within(score: float) -> float:
    return min(1.0, max(0.0, score))
