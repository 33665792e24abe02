"""Train the bundled toy: a true, tiny OWLv2 on pictures of coloured shapes, on one CPU core in minutes.

    python train_toy.py OUT --steps 3500 --seed 0

What made so small a model learn: heads started small, a two-dimensional sine start of the position
embedding, every cell in the middle half of an object a positive and the cells around it ignored, quality
focal loss (a positive's target is the IoU of its box), and words and letters that name nothing.
"""

import argparse
import math
import random
import string
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scenes import COLORS, NEVER_DRAWN, SHAPES, TEMPLATES, TRAINED, WORDS, Thing, draw
from tokenizer import build_tokenizer
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2Processor
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

SIZE: Final = 128
PATCH: Final = 16
GRID: Final = SIZE // PATCH
WIDTH: Final = 128
BATCH: Final = 32
LEARNING_RATE: Final = 1.5e-3
MEAN: Final = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD: Final = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


@dataclass(frozen=True, slots=True)
class Targets:
    """What the model should say of a batch. `wanted`, `weight` are (images, cells, phrases).

    `image`, `cell` and `box` (corners, 0 to 1) list the positives.
    """

    wanted: Tensor
    weight: Tensor
    image: list[int]
    cell: list[int]
    box: Tensor


def main() -> None:
    """Train and save a checkpoint that `from_pretrained` loads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=3500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    tokenizer = build_tokenizer(WORDS)
    model = new_model(len(tokenizer))
    train(model, tokenizer, steps=options.steps, seed=options.seed)
    save(model, tokenizer, options.out)


def new_model(vocabulary: int) -> Any:
    """Make the untrained model: 0.83 million parameters, 64 cells."""
    text = {"vocab_size": vocabulary, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 4, "max_position_embeddings": 16, "pad_token_id": 0}
    text |= {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1}
    vision = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 4}
    vision |= {"num_attention_heads": 4, "image_size": SIZE, "patch_size": PATCH}
    model = Owlv2ForObjectDetection(Owlv2Config(text_config=text, vision_config=vision, projection_dim=64))
    with torch.no_grad():
        _start_heads(model)
        positions = model.owlv2.vision_model.embeddings.position_embedding.weight
        positions[1:] = 0.5 * _sine_positions()
    return model


def train(model: Any, tokenizer: Any, *, steps: int, seed: int) -> None:
    """Run `steps` batches with a short warm-up and a cosine to the end."""
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.02, betas=(0.9, 0.98))
    started = time.monotonic()
    model.train()
    for step in range(steps):
        progress = step / steps
        rate = LEARNING_RATE * min(1, (step + 1) / 60) * (0.5 * (1 + math.cos(math.pi * progress)) + 0.01)
        for group in optimizer.param_groups:
            group["lr"] = rate
        pixels, scenes = batch(rng, noise)
        logits, boxes = _forward(model, tokenizer, pixels, phrases(rng))
        loss = loss_of(logits, boxes, targets(scenes, logits.shape[2]), quality=min(1.0, progress / 0.3))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 99:
            print(f"step {step + 1}: loss {loss.item():.3f}, {time.monotonic() - started:.0f} s", flush=True)


def save(model: Any, tokenizer: Any, out: Path) -> None:
    """Write model, processor and tokenizer; weights in half precision, to be used in float32."""
    model.eval().save_pretrained(out)
    size = {"height": SIZE, "width": SIZE}
    processor = Owlv2Processor(Owlv2ImageProcessorPil(size=size), tokenizer)  # type: ignore[no-untyped-call]
    processor.save_pretrained(out)
    weights = load_file(out / "model.safetensors")
    half = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    save_file(half, out / "model.safetensors", metadata={"format": "pt"})


def batch(rng: random.Random, noise: np.random.Generator) -> tuple[Tensor, list[list[Thing]]]:
    """Draw a batch of pictures in the upper left of a black square, half of them not square."""
    pixels, scenes = np.zeros((BATCH, SIZE, SIZE, 3), np.float32), []
    for canvas in pixels:
        shorter = int(SIZE * rng.uniform(0.5, 0.95))
        width, height = rng.choice([(SIZE, SIZE), (SIZE, SIZE), (SIZE, shorter), (shorter, SIZE)])
        image, things = draw(rng, rng.randint(0, 5), width, height, TRAINED)
        picture = np.asarray(image, np.float32) / 255
        if rng.random() < 0.7:
            picture = picture + noise.normal(0, rng.uniform(0, 0.06), picture.shape).astype(np.float32)
        canvas[:height, :width] = picture.clip(0, 1)
        scenes.append(things)
    return torch.from_numpy((pixels - MEAN) / STD).permute(0, 3, 1, 2).contiguous(), scenes


def phrases(rng: random.Random) -> list[str]:
    """Return the phrases of one step: pairs, colours, shapes (columns of `targets`), then negatives."""
    template = rng.choice(TEMPLATES)
    named = [f"{color} {shape}" for color, shape in TRAINED]
    named += [f"{color} shape" for color in COLORS]
    named += SHAPES
    letters = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(3, 8)))
    named += [*rng.sample(NEVER_DRAWN, 4), letters]
    named += [f"{rng.choice(list(COLORS))} {rng.choice(NEVER_DRAWN)}", f"{letters} {rng.choice(SHAPES)}"]
    return [template.format(name) for name in named]


def targets(scenes: list[list[Thing]], columns: int) -> Targets:
    """Mark the cells of each thing: positive in its middle half, ignored in the rest of it."""
    wanted, weight = torch.zeros(BATCH, GRID * GRID, columns), torch.ones(BATCH, GRID * GRID, columns)
    images, cells, boxes = [], [], []
    for image, things in enumerate(scenes):
        for thing in things:
            names = _columns(thing)
            middle, around = _cells(thing)
            for cell in around:
                weight[image, cell, names] = 0
            for cell in middle:
                weight[image, cell, names] = 1
                wanted[image, cell, names] = 1
            images += [image] * len(middle)
            cells += middle
            boxes += [[thing.x0, thing.y0, thing.x1, thing.y1]] * len(middle)
    return Targets(wanted, weight, images, cells, torch.tensor(boxes).reshape(-1, 4) / SIZE)


def loss_of(logits: Tensor, boxes: Tensor, target: Targets, *, quality: float) -> Tensor:
    """Add quality focal loss of the scores to L1 and generalised IoU of the positives' boxes.

    `quality` (0 to 1) moves a positive's wanted score from 1 to the IoU that its box has now.
    """
    predicted = boxes[target.image, target.cell]
    corners = torch.cat([predicted[:, :2] - predicted[:, 2:] / 2, predicted[:, :2] + predicted[:, 2:] / 2], 1)
    iou, generalised = _overlaps(corners, target.box)
    wanted, is_positive = target.wanted.clone(), target.wanted > 0
    reached = iou.detach().clamp(0.02, 1)
    wanted[target.image, target.cell] *= (1 - quality + quality * reached)[:, None]
    missed = (wanted - torch.sigmoid(logits)).abs() ** 2
    entropy = binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    balance = torch.where(is_positive, 0.6, 0.4)
    scores = (target.weight * balance * missed * entropy).sum() / max(1, len(target.cell))
    if not target.cell:
        return scores
    centred = torch.cat(
        [(target.box[:, :2] + target.box[:, 2:]) / 2, target.box[:, 2:] - target.box[:, :2]], 1
    )
    return scores + 1.5 * (5 * (predicted - centred).abs().mean() + (1 - generalised).mean())


def _start_heads(model: Any) -> None:
    """Start the heads small: transformers starts them so large that boxes saturate and never learn."""
    for head in (model.box_head, model.class_head, model.objectness_head):
        for layer in head.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight.normal_(0, layer.in_features**-0.5 if layer.out_features > 4 else 0.02)
                layer.bias.zero_()
    model.class_head.logit_scale.bias.fill_(9.0)
    model.class_head.logit_shift.bias.fill_(-0.4)


def _sine_positions() -> Tensor:
    """Return (cells, WIDTH): sines and cosines of column and row."""
    quarter = WIDTH // 4
    frequency = 1.0 / (100 ** (torch.arange(quarter) / quarter))
    row, column = torch.meshgrid(torch.arange(GRID).float(), torch.arange(GRID).float(), indexing="ij")
    waves = [axis.reshape(-1, 1) * frequency for axis in (column, row)]
    return torch.cat([turn(wave) for wave in waves for turn in (torch.sin, torch.cos)], 1)


def _forward(model: Any, tokenizer: Any, pixels: Tensor, named: list[str]) -> tuple[Tensor, Tensor]:
    tokens = tokenizer(named, padding="max_length", max_length=16, truncation=True, return_tensors="pt")
    text = model.owlv2.text_model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask)
    queries = model.owlv2.text_projection(text.pooler_output)
    queries = queries / queries.norm(dim=-1, keepdim=True)
    features = model.image_embedder(pixels)[0]
    flat = features.flatten(1, 2)
    logits, _ = model.class_predictor(flat, queries[None].expand(len(pixels), -1, -1))
    return logits, model.box_predictor(flat, features)


def _columns(thing: Thing) -> list[int]:
    color = len(TRAINED) + list(COLORS).index(thing.color)
    shape = len(TRAINED) + len(COLORS) + SHAPES.index(thing.shape)
    return [TRAINED.index(thing.pair), color, shape]


def _cells(thing: Thing) -> tuple[list[int], list[int]]:
    """Return the cells in the middle half of a thing (at least one), and its other cells."""
    x, y = (thing.x0 + thing.x1) / 2, (thing.y0 + thing.y1) / 2
    best = min(GRID - 1, int(y / PATCH)) * GRID + min(GRID - 1, int(x / PATCH))
    middle, around = [best], list[int]()
    for cell in range(GRID * GRID):
        cell_x, cell_y = (cell % GRID + 0.5) * PATCH, (cell // GRID + 0.5) * PATCH
        across, down = abs(cell_x - x) / (thing.x1 - thing.x0), abs(cell_y - y) / (thing.y1 - thing.y0)
        if cell == best or max(across, down) >= 0.5:
            continue
        (middle if max(across, down) < 0.25 else around).append(cell)
    return middle, around


def _overlaps(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return IoU and generalised IoU of boxes given by corners, pair by pair."""
    low, high = torch.max(one[:, :2], other[:, :2]), torch.min(one[:, 2:], other[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    areas = [(box[:, 2:] - box[:, :2]).clamp(min=0).prod(1) for box in (one, other)]
    union = (areas[0] + areas[1] - shared).clamp(min=1e-9)
    hull = (torch.max(one[:, 2:], other[:, 2:]) - torch.min(one[:, :2], other[:, :2])).prod(1).clamp(min=1e-9)
    return shared / union, shared / union - (hull - union) / hull


if __name__ == "__main__":
    main()
