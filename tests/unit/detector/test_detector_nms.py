"""Non-max suppression against a plain reading of the official block's algorithm."""

import numpy as np
import pytest
from labelbus_labeling import nms
from labelbus_labeling.nms import Floats, Mask


def official(boxes: Floats, scores: Floats, threshold: float) -> Mask:
    """Do as the block does: all IoUs at once, then row by row; ties later index first."""
    order = np.flip(scores.argsort(kind="stable"))
    ranked = boxes[order]
    area = (ranked[:, 2] - ranked[:, 0]) * (ranked[:, 3] - ranked[:, 1])
    low = np.maximum(ranked[:, None, :2], ranked[None, :, :2])
    high = np.minimum(ranked[:, None, 2:], ranked[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = shared / (area[:, None] + area[None, :] - shared) - np.eye(len(boxes))
    keep = np.ones(len(boxes), bool)
    for index, row in enumerate(iou):
        if keep[index]:
            keep &= ~(row > threshold)
    result: Mask = keep[order.argsort()]
    return result


def random_boxes(rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    """Make clustered whole-number boxes, some without area, with scores that often tie."""
    centres = rng.uniform(50, 450, (max(1, count // 5), 2))[rng.integers(0, max(1, count // 5), count)]
    sizes = np.maximum(rng.normal(60, 30, (count, 2)), 0)
    corner = centres + rng.normal(0, 8, (count, 2)) - sizes / 2
    boxes = np.concatenate([corner, corner + sizes], axis=1).astype(int).astype(float)
    boxes[: count // 6, 2] = boxes[: count // 6, 0]
    return boxes, rng.uniform(0, 1, count).round(int(rng.integers(1, 5)))


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.7])
def test_equal_to_the_official_block(threshold: float) -> None:
    """In a thousand random cases with ties and empty boxes both methods keep what the block keeps."""
    rng = np.random.default_rng(int(threshold * 10))
    for _ in range(1000):
        boxes, scores = random_boxes(rng, int(rng.integers(1, 50)))
        wanted = official(boxes, scores, threshold)
        assert np.array_equal(nms.kept(boxes, scores, threshold), wanted)
        ranked = np.ascontiguousarray(boxes[np.flip(scores.argsort(kind="stable"))].T)
        assert nms._by_passes(ranked, threshold) == nms._by_matrix(ranked, threshold)


def test_many_boxes_take_the_other_method_to_the_same_result() -> None:
    """Above the matrix limit the result is still the block's."""
    boxes, scores = random_boxes(np.random.default_rng(3), 700)
    assert np.array_equal(nms.kept(boxes, scores, 0.2), official(boxes, scores, 0.2))


def test_an_iou_equal_to_the_threshold_stays() -> None:
    """Suppression needs strictly more."""
    boxes = np.array([[0, 0, 10, 10], [0, 5, 10, 15]], float)
    assert nms.kept(boxes, np.array([0.9, 0.8]), 50 / 150).all()
    assert nms.kept(boxes, np.array([0.9, 0.8]), 0.33).tolist() == [True, False]


def test_of_equal_scores_the_later_wins() -> None:
    """Ties go to the later index."""
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], float)
    assert nms.kept(boxes, np.array([0.5, 0.5]), 0.2).tolist() == [False, True]


def test_boxes_without_area_stay() -> None:
    """0/0 is no overlap."""
    boxes = np.array([[5, 5, 5, 9], [5, 5, 5, 9]], float)
    assert nms.kept(boxes, np.array([0.5, 0.6]), 0.2).all()


def test_labels_are_apart() -> None:
    """Only boxes of one label compete; nothing at all is fine too."""
    boxes = np.array([[0, 0, 10, 10]] * 3, float)
    scores = np.array([0.9, 0.8, 0.7])
    assert nms.kept_by_label(boxes, scores, ["a", "b", "a"], 0.2).tolist() == [True, True, False]
    assert nms.kept_by_label(np.empty((0, 4)), np.empty(0), [], 0.2).size == 0
