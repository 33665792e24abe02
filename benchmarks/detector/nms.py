"""Non-max suppression: the official block's way, ours by matrix and ours by passes; median milliseconds.

python benchmarks/detector/nms.py [--repeats 7]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from labelbus_labeling.nms import Floats, _by_matrix, _by_passes


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    for count in (20, 100, 200, 400, 1000, 3600):
        ranked = ranked_boxes(rng, count)
        ways: dict[str, Callable[[], list[int]]] = {
            "official": partial(official, ranked, 0.2),
            "matrix": partial(_by_matrix, ranked, 0.2),
            "passes": partial(_by_passes, ranked, 0.2),
        }
        kept = {name: way() for name, way in ways.items()}
        agree = "the same" if len({tuple(one) for one in kept.values()}) == 1 else "DIFFERENT"
        times = {name: median_ms(way, options.repeats) for name, way in ways.items()}
        cells = ", ".join(f"{name} {value:8.3f}" for name, value in times.items())
        print(f"{count:5} boxes, {len(kept['passes']):4} kept, {agree}: {cells} ms", flush=True)


def official(ranked: Floats, threshold: float) -> list[int]:
    """Do as the official block does: all IoUs at once, then one row after the other."""
    boxes = np.ascontiguousarray(ranked.T)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    iou = shared / (area[:, None] + area[None, :] - shared) - np.eye(len(boxes))
    keep = np.ones(len(boxes), bool)
    for index, row in enumerate(iou):
        if keep[index]:
            keep &= ~(row > threshold)
    return [int(index) for index in np.flatnonzero(keep)]


def ranked_boxes(rng: np.random.Generator, count: int) -> Floats:
    """Make clustered boxes (4, n), best first."""
    centres = rng.uniform(60, 900, (max(1, count // 10), 2))[rng.integers(0, max(1, count // 10), count)]
    sizes = np.maximum(rng.normal(90, 30, (count, 2)), 2)
    corner = centres + rng.normal(0, 6, (count, 2)) - sizes / 2
    return np.concatenate([corner, corner + sizes], axis=1).astype(int).astype(float).T


def median_ms(work: Callable[[], Any], repeats: int) -> float:
    """Return the median wall time of a call."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()
