"""What labelers that find boxes do with them: frames, clipping, areas, and what is there already."""

from collections.abc import Collection, Sequence
from typing import Literal, TypeAlias

from labelbus_contracts.labels import BoundingBox

from labelbus_labeling.images import Frame

Deletion = Literal["no", "matching-prompt", "yes"]
"""Which existing boxes go before new ones are added: none, those of the prompt's labels, or all."""
Corners: TypeAlias = tuple[float, float, float, float]
Pixels: TypeAlias = tuple[int, int, int, int]
"""x1, y1, x2, y2; right and lower edge exclusive."""


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


def clipped(corners: Pixels, width: int, height: int) -> Pixels:
    """Cut off what reaches beyond an image."""
    x1, y1, x2, y2 = corners
    return (max(x1, 0), max(y1, 0), min(x2, width), min(y2, height))


def has_wanted_area(
    corners: Corners, width: int, height: int, *, smallest: float | None, largest: float | None
) -> bool:
    """Tell whether a box covers neither too little nor too much of an image, in percent.

    None and 0 stand for no limit, as in the official blocks.
    """
    x1, y1, x2, y2 = corners
    percent = (x2 - x1) * (y2 - y1) / (width * height) * 100
    return not ((smallest and percent < smallest) or (largest and percent > largest))


def overlap(one: Corners, other: Corners) -> float:
    """Return the intersection over union; equal boxes without an area count as 1."""
    if one == other:
        return 1.0
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (_area(one) + _area(other) - common)


def corners_of(box: BoundingBox) -> Corners:
    """Return the corners of a box; right and lower edge exclusive."""
    return (box.x, box.y, box.x + box.width, box.y + box.height)


def merged_boxes(
    existing: Sequence[BoundingBox],
    found: Sequence[BoundingBox],
    labels: Collection[str],
    deletion: Deletion,
) -> tuple[BoundingBox, ...]:
    """Return the boxes that stay, then the found ones that are not among them already.

    `labels` are those that the prompt gives.
    """
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


def _turned_back(corners: Corners, frame: Frame) -> Corners:
    """Undo the EXIF orientations 5 to 8, which exchange rows and columns."""
    x1, y1, x2, y2 = corners
    left, right = (y1, y2) if frame.orientation in {5, 6} else (frame.height - y2, frame.height - y1)
    top, bottom = (x1, x2) if frame.orientation in {5, 8} else (frame.width - x2, frame.width - x1)
    return (left, top, right, bottom)


def _area(corners: Corners) -> float:
    return (corners[2] - corners[0]) * (corners[3] - corners[1])
