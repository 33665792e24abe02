"""Measure a toy checkpoint on fresh pictures: precision and recall, for trained and for held-out pairs.

    python evaluate_toy.py [MODEL] [--images 200]

All 18 phrases at once, five sizes of picture, NMS 0.2; a detection counts when its IoU with an object of
its name, not counted yet, is at least 0.5.
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from labelbus_detector.detections import Detection
from labelbus_detector.engine import Ask, OwlEngine
from labelbus_detector.loading import load_engine
from labelbus_labeling.images import Frame
from labelbus_labeling.nms import kept_by_label
from scenes import HELD_OUT, PAIRS, TRAINED, Thing, draw

SIZES: Final = ((320, 240), (240, 320), (256, 256), (640, 360), (200, 200))
PHRASES: Final = tuple(f"{color} {shape}" for color, shape in PAIRS)
STRANGE: Final = ("a photo of a dog", "zebra", "red dog", "lorry")


@dataclass(slots=True)
class Tally:
    """Counts of one threshold and group of pairs."""

    right: int = 0
    wrong: int = 0
    missed: int = 0
    overlaps: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        precision = self.right / max(1, self.right + self.wrong)
        recall = self.right / max(1, self.right + self.missed)
        overlap = float(np.mean(self.overlaps)) if self.overlaps else 0.0
        return f"precision {precision:.3f}  recall {recall:.3f}  mean IoU {overlap:.2f}"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="toy")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20_261)
    options = parser.parse_args()
    torch.set_num_threads(1)
    engine, rng = load_engine(options.model, device="cpu"), random.Random(options.seed)
    scenes = [draw(rng, rng.randint(1, 4), *SIZES[i % 5], PAIRS) for i in range(options.images)]
    answers = [search(engine, np.asarray(image), PHRASES, 0.1) for image, _ in scenes]
    strange = [found for image, _ in scenes for found in search(engine, np.asarray(image), STRANGE, 0.3)]
    for threshold in (0.1, 0.3, 0.45, 0.5, 0.6):
        for name, pairs in (("trained", TRAINED), ("held out", HELD_OUT)):
            tally = Tally()
            for (_, things), found in zip(scenes, answers, strict=True):
                count(tally, things, [one for one in found if one.score >= threshold], pairs)
            print(f"threshold {threshold:4}  {name:8}  {tally}")
    print(f"strange phrases above 0.3 on {len(scenes)} pictures: {len(strange)}")


def search(engine: OwlEngine, rgb: np.ndarray, phrases: tuple[str, ...], threshold: float) -> list[Detection]:
    """Search one picture and suppress overlaps of one phrase."""
    frame = Frame(rgb.shape[1], rgb.shape[0])
    (found,) = engine.detect([engine.prepare(rgb)], [Ask(phrases, frame, threshold)])
    boxes = np.array([_corners(one) for one in found], float).reshape(-1, 4)
    scores = np.array([one.score for one in found])
    mask = kept_by_label(boxes, scores, [one.phrase for one in found], 0.2)
    return [one for one, stays in zip(found, mask, strict=True) if stays]


def count(
    tally: Tally, things: Sequence[Thing], found: Sequence[Detection], pairs: Sequence[tuple[str, str]]
) -> None:
    """Match detections, best first, to the objects of their name."""
    left = [thing for thing in things if thing.pair in pairs]
    names = {f"{color} {shape}" for color, shape in pairs}
    for one in found:
        if one.phrase not in names:
            continue
        candidates = [
            (_iou(one, thing), i) for i, thing in enumerate(left) if " ".join(thing.pair) == one.phrase
        ]
        overlap, index = max(candidates, default=(0.0, -1))
        if overlap >= 0.5:
            tally.right += 1
            tally.overlaps.append(overlap)
            del left[index]
        else:
            tally.wrong += 1
    tally.missed += len(left)


def _corners(one: Detection) -> tuple[int, int, int, int]:
    return (one.xmin, one.ymin, one.xmax, one.ymax)


def _iou(one: Detection, thing: Thing) -> float:
    width = max(0.0, min(one.xmax, thing.x1) - max(one.xmin, thing.x0))
    height = max(0.0, min(one.ymax, thing.y1) - max(one.ymin, thing.y0))
    areas = (one.xmax - one.xmin) * (one.ymax - one.ymin) + (thing.x1 - thing.x0) * (thing.y1 - thing.y0)
    return width * height / (areas - width * height)


if __name__ == "__main__":
    main()
