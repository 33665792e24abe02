"""AST of true size with random weights, one core: a second of sound by transformers' pipeline and by ours.

    python -m benchmarks.audio.ast_vs_pipeline --windows 4

Prints CPU seconds per window (features and model), and the largest difference of any probability.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from labelbus_audio.audioset import labels
from labelbus_audio.features import features_of
from labelbus_audio.loading import load_engine
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTForAudioClassification,
    AudioClassificationPipeline,
)

RATE = 16_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=4)
    count: int = parser.parse_args().windows
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        _save(Path(folder))
        pipeline = AudioClassificationPipeline(  # type: ignore[no-untyped-call]
            model=ASTForAudioClassification.from_pretrained(folder),
            feature_extractor=ASTFeatureExtractor.from_pretrained(folder),
        )
        engine = load_engine(folder, device="cpu", dtype="float32")
    sounds = [np.random.default_rng(seed).normal(0, 0.1, RATE).astype(np.float32) for seed in range(count)]
    theirs_s, ours_s, apart = 0.0, 0.0, 0.0
    pipeline(sounds[0])
    for one in sounds:
        started = time.process_time()
        theirs = {row["label"]: row["score"] for row in pipeline(one, top_k=None)}
        theirs_s += time.process_time() - started
        started = time.process_time()
        ours = engine.hear(features_of([one], engine.shape), len(theirs))[0]
        ours_s += time.process_time() - started
        apart = max(apart, *(abs(theirs[label] - score) for label, score in ours))
    print(f"pipeline: {theirs_s / count:.2f} s per window")
    print(f"labelbus: {ours_s / count:.2f} s per window")
    print(f"ratio {theirs_s / ours_s:.2f}, probabilities apart by at most {apart:.1e}")


def _save(folder: Path) -> None:
    torch.manual_seed(0)
    names = dict(enumerate(labels()))
    model = ASTForAudioClassification(ASTConfig(id2label=names, label2id={v: k for k, v in names.items()}))
    weight = model.classifier.dense.weight
    assert isinstance(weight, torch.Tensor)
    torch.nn.init.normal_(weight, std=0.2)  # scores that differ
    model.save_pretrained(folder)
    ASTFeatureExtractor().save_pretrained(folder)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
