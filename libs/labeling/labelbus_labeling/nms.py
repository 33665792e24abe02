"""Non-maximum suppression, equal to the official block's: greedy by score, one label at a time, numpy only.

A box is suppressed when its IoU with a better kept box is strictly greater than the threshold. Of equal
scores the later index goes first. Two boxes without area have no IoU (0/0): both are kept.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_MATRIX_LIMIT: Final = 200
"""Up to here one n*n matrix is quicker than a pass per kept box (benchmarks/detector/nms.py)."""


def kept(boxes: Floats, scores: Floats, iou_threshold: float) -> Mask:
    """Tell which of the boxes (n, 4: x1, y1, x2, y2) remain; the order of the input stays."""
    order = np.flip(scores.argsort(kind="stable"))
    ranked = np.ascontiguousarray(boxes[order].T, dtype=np.float64)
    method = _by_matrix if len(order) <= _MATRIX_LIMIT else _by_passes
    mask = np.zeros(len(order), bool)
    mask[order[method(ranked, iou_threshold)]] = True
    return mask


def kept_by_label(boxes: Floats, scores: Floats, labels: Sequence[str], iou_threshold: float) -> Mask:
    """Apply `kept` to the boxes of each label by themselves."""
    mask = np.zeros(len(labels), bool)
    groups: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    for members in groups.values():
        mask[members] = kept(boxes[members], scores[members], iou_threshold)
    return mask


def _by_matrix(ranked: Floats, iou_threshold: float) -> list[int]:
    over = _iou(ranked[:, :, None], ranked[:, None, :]) > iou_threshold
    alive = np.ones(len(over), bool)
    result = []
    for index, row in enumerate(over):
        if alive[index]:
            result.append(index)
            alive &= ~row
    return result


def _by_passes(ranked: Floats, iou_threshold: float) -> list[int]:
    left = np.arange(ranked.shape[1])
    result = []
    while left.size:
        result.append(int(left[0]))
        over = _iou(ranked[:, :1], ranked[:, 1:]) > iou_threshold
        left, ranked = left[1:][~over], ranked[:, 1:][:, ~over]
    return result


def _iou(one: Floats, other: Floats) -> Floats:
    width = np.maximum(np.minimum(one[2], other[2]) - np.maximum(one[0], other[0]), 0)
    height = np.maximum(np.minimum(one[3], other[3]) - np.maximum(one[1], other[1]), 0)
    shared = width * height
    area = (one[2] - one[0]) * (one[3] - one[1])
    other_area = (other[2] - other[0]) * (other[3] - other[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = shared / (area + other_area - shared)
    return result
