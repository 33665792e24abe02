"""OWLv2 preprocessing against the stock processor (Pillow and scipy): one thread, median milliseconds.

python benchmarks/detector/preprocessing.py [--repeats 5]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from labelbus_detector.pixels import padded_square
from labelbus_detector.testing import smooth_noise
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

SIZE: Final = 960
PICTURES: Final = ((640, 480), (1280, 720), (1920, 1080))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    processor = Owlv2ImageProcessorPil(size={"height": SIZE, "width": SIZE})
    for width, height in PICTURES:
        rgb = np.asarray(smooth_noise(width, height))

        def stock(rgb: np.ndarray = rgb) -> torch.Tensor:
            pixels: torch.Tensor = processor(rgb, return_tensors="pt").pixel_values[0]
            return pixels

        def ours(rgb: np.ndarray = rgb) -> torch.Tensor:
            return padded_square(rgb, SIZE)

        difference = float((stock() - ours()).abs().max())
        times = [(milliseconds(stock), milliseconds(ours)) for _ in range(options.repeats)]
        theirs, mine = (statistics.median(column) for column in zip(*times, strict=True))
        print(
            f"{width} * {height}: stock {theirs:6.1f} ms, detector {mine:5.1f} ms, "
            f"{theirs / mine:4.1f} times, largest difference {difference:.1e}",
            flush=True,
        )


def milliseconds(work: Callable[[], torch.Tensor]) -> float:
    """Return the CPU time of a call."""
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1000


if __name__ == "__main__":
    main()
