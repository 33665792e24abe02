"""The detector against the stock pipeline of transformers, on an OWL-ViT B/32 of the true size.

    python benchmarks/detector/detector_vs_pipeline.py [--labels 5 20] [--repeats 3] [--tiny]

Weights are random: time does not depend on them. Both get the same decoded picture, and their answers are
compared. Runs alternate; figures are medians of process CPU seconds on one thread.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from labelbus_detector.detections import Detection
from labelbus_detector.engine import Ask, OwlEngine
from labelbus_detector.models import TOY_FOLDER
from labelbus_detector.testing import smooth_noise
from labelbus_labeling.images import Frame
from PIL import Image
from transformers import AutoTokenizer, OwlViTConfig, OwlViTForObjectDetection, pipeline
from transformers.models.owlvit.image_processing_pil_owlvit import OwlViTImageProcessorPil


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, nargs="+", default=[5, 20])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a small model, to see that the script runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer, size = build(tiny=options.tiny)
    processor = OwlViTImageProcessorPil(size={"height": size, "width": size})
    parts = {"model": model, "tokenizer": tokenizer, "image_processor": processor}
    stock = pipeline("zero-shot-object-detection", device="cpu", **parts)
    image = smooth_noise(1280, 720)
    for count in options.labels:
        compare(stock, OwlEngine(copy.deepcopy(model), tokenizer), image, phrases(count), options.repeats)


def compare(stock: Any, engine: OwlEngine, image: Image.Image, named: list[str], repeats: int) -> None:
    """Alternate the two, and print their medians and whether they agree."""
    threshold = 0.5
    theirs, ours = [], []
    for _ in range(repeats):
        seconds, wanted = timed(lambda: stock(image, named, threshold=threshold))
        theirs.append(seconds)
        seconds, found = timed(lambda: detect(engine, image, named, threshold))
        ours.append(seconds)
    ratio = statistics.median(theirs) / statistics.median(ours)
    print(
        f"{len(named):3} labels: pipeline {statistics.median(theirs):7.2f} s, "
        f"detector {statistics.median(ours):6.2f} s, {ratio:5.1f} times; "
        f"{len(wanted)} detections, {'the same' if same(found, wanted) else 'DIFFERENT'}",
        flush=True,
    )


def detect(
    engine: OwlEngine, image: Image.Image, named: Sequence[str], threshold: float
) -> tuple[Detection, ...]:
    """Prepare and search one picture."""
    ask = Ask(tuple(named), Frame(image.width, image.height), threshold)
    return engine.detect([engine.prepare(np.asarray(image))], [ask])[0]


def same(found: Sequence[Detection], wanted: Sequence[dict[str, Any]]) -> bool:
    """Tell whether labels, whole-number boxes and (to 1e-5) scores agree."""
    mine = sorted((d.phrase, d.xmin, d.ymin, d.xmax, d.ymax, d.score) for d in found)
    theirs = sorted((row["label"], *row["box"].values(), row["score"]) for row in wanted)
    if [row[:5] for row in mine] != [row[:5] for row in theirs]:
        return False
    return all(abs(one[5] - other[5]) < 1e-5 for one, other in zip(mine, theirs, strict=True))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds of a call, and its result."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def phrases(count: int) -> list[str]:
    """Name `count` different things."""
    return [f"a photo of a {color} {thing}" for thing in ("cat", "dog", "cup", "car") for color in range(5)][
        :count
    ]


def build(*, tiny: bool) -> tuple[Any, Any, int]:
    """Make OWL-ViT B/32 with random weights and heads that give boxes of all sizes."""
    tokenizer = AutoTokenizer.from_pretrained(TOY_FOLDER)
    last = len(tokenizer) - 1
    size = 96 if tiny else 768
    text = {"vocab_size": len(tokenizer), "bos_token_id": last - 1, "eos_token_id": last, "pad_token_id": 0}
    vision = {"image_size": size, "patch_size": 32}
    if tiny:
        vision |= {"hidden_size": 96, "intermediate_size": 96, "num_hidden_layers": 2}
    torch.manual_seed(0)
    model = OwlViTForObjectDetection(OwlViTConfig(text_config=text, vision_config=vision))
    model.train(False)
    with torch.no_grad():
        for head in (model.box_head, model.class_head):
            for layer in head.modules():
                if isinstance(layer, torch.nn.Linear):
                    layer.weight.normal_(0, layer.in_features**-0.5)
                    layer.bias.zero_()
    return model, tokenizer, size


if __name__ == "__main__":
    main()
