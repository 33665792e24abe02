"""The scripts that made the toy model still fit it."""

import random
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from labelbus_detector.models import TOY_FOLDER
from transformers import AutoTokenizer

TRAINING = Path(__file__).parents[3] / "services" / "detector" / "training"


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The training script as a module."""
    monkeypatch.syspath_prepend(str(TRAINING))
    import importlib

    return importlib.import_module("train_toy")


def test_the_tokenizer_is_the_bundled_one(trainer: ModuleType) -> None:
    """Building it again gives the toy's vocabulary and the same ids for known and unknown words."""
    built, bundled = trainer.build_tokenizer(trainer.WORDS), AutoTokenizer.from_pretrained(TOY_FOLDER)
    assert built.get_vocab() == bundled.get_vocab()
    for phrase in ("a photo of a red square", "weird wörd"):
        wanted = [token for token in bundled(phrase, padding=False)["input_ids"] if token]
        assert built(phrase)["input_ids"] == wanted


def test_a_step_learns_from_every_object(trainer: ModuleType) -> None:
    """Each drawn object has a positive, and a step's loss reaches boxes, scores and text."""
    torch.manual_seed(0)
    rng = random.Random(0)
    pixels, scenes = trainer.batch(rng, np.random.default_rng(0))
    target = trainer.targets(scenes, len(trainer.phrases(rng)))
    assert len(target.cell) >= sum(map(len, scenes)) > 0
    tokenizer = trainer.build_tokenizer(trainer.WORDS)
    model = trainer.new_model(len(tokenizer))
    logits, boxes = trainer._forward(model, tokenizer, pixels, trainer.phrases(rng))
    trainer.loss_of(logits, boxes, target, quality=0.5).backward()
    for part in (model.box_head, model.class_head, model.owlv2.text_model, model.owlv2.vision_model):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
