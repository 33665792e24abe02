"""OWL-ViT and OWLv2 at their true cost: the image tower once per image, whatever the number of phrases.

The stock pipeline runs preprocessing and both towers once per phrase. Here the tower runs once, phrases
are remembered, one matrix product scores all patches against the union of the batch's phrases, and each
image's own phrases and threshold are applied on the device. What comes out is the pipeline's: labels,
order and whole-number corners equal, scores to 1e-5 (tests/unit/detector/test_detector_engine.py).

Left out is what the pipeline computes and drops: objectness, CLIP's projection and contrastive logits.
On x86 CPUs oneDNN computes the linear layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from labelbus_labeling import onednn
from labelbus_labeling.images import Frame
from labelbus_runtime.errors import RetryLater
from torch import Tensor

from labelbus_detector.detections import Detection
from labelbus_detector.images import Pixels
from labelbus_detector.phrases import PhraseEncoder
from labelbus_detector.pixels import padded_square, squashed_square

DEFAULT_THRESHOLD: Final = 0.1
"""The stock pipeline's: detections must score more than this."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one image of a batch is searched for; `frame` is its upright size."""

    phrases: tuple[str, ...]
    frame: Frame
    threshold: float = DEFAULT_THRESHOLD


class OwlEngine:
    """One loaded model on one device. `prepare` may run on any thread, `detect` on one at a time."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        pad_value: float = 0.0,
    ) -> None:
        """Take a transformers model, for good, and its tokenizer.

        `dtype` is the image tower's alone. The heads stay float32: half precision there moves boxes by
        pixels, in the tower alone by less than 0.2.
        """
        self._model = model.eval().to(device)
        self._is_v2 = model.config.model_type == "owlv2"
        towers = model.owlv2 if self._is_v2 else model.owlvit
        self._vision = towers.vision_model.to(dtype)
        self._device, self._dtype, self._pad_value = torch.device(device), dtype, pad_value
        if device == "cpu" and onednn.is_there():
            onednn.pack(model)
        self._box_bias = model.box_bias.to(device, torch.float32)
        max_tokens = model.config.text_config.max_position_embeddings
        self._phrases = PhraseEncoder(towers, tokenizer, max_tokens=max_tokens, device=self._device)
        self.size: int = model.config.vision_config.image_size

    @property
    def batch_size(self) -> int:
        """Return how many images are worth computing together on this device.

        On a CPU batches of the true models are slower than single images (caches); small ones gain.
        """
        vision = self._model.config.vision_config
        tokens = (vision.image_size // vision.patch_size) ** 2 + 1
        if self._device.type == "cpu":
            return 8 if tokens * vision.hidden_size <= 1 << 16 else 1
        return 16 if tokens <= 1024 else 8

    def prepare(self, rgb: Pixels) -> Tensor:
        """Return the pixels (3, size, size) that the model sees of an upright picture."""
        if self._is_v2:
            return padded_square(rgb, self.size, device=str(self._device), pad_value=self._pad_value)
        return squashed_square(rgb, self.size)

    def notes(self, phrases: Sequence[str]) -> tuple[str, ...]:
        """Say what of the phrases the model cannot take in."""
        return self._phrases.notes(phrases)

    @torch.inference_mode()
    def detect(self, pixels: Sequence[Tensor], asks: Sequence[Ask]) -> list[tuple[Detection, ...]]:
        """Search a batch of prepared images; each answer is sorted by score, then phrase, then patch.

        Raises `RetryLater` for the job where the model's precision does not hold its numbers.
        """
        union = list(dict.fromkeys(phrase for ask in asks for phrase in ask.phrases))
        batch = torch.stack([one.to(self._device) for one in pixels])  # huge ones were prepared on the CPU
        boxes, scores = self._scored(batch, self._phrases(union))
        if not (torch.isfinite(scores).all() and torch.isfinite(boxes).all()):
            raise self._overflow()
        kept = (scores > self._thresholds(asks)) & self._asked(asks, union)
        image, patch, column = kept.nonzero(as_tuple=True)
        corners = (_corners(boxes[image, patch]) * self._scales(asks)[image]).int()
        rows = zip(
            image.tolist(),
            patch.tolist(),
            column.tolist(),
            scores[image, patch, column].tolist(),
            corners.tolist(),
            strict=True,
        )
        found: list[list[tuple[int, int, Detection]]] = [[] for _ in asks]
        places = [{phrase: place for place, phrase in enumerate(ask.phrases)} for ask in asks]
        for index, patch_index, phrase_index, score, box in rows:
            phrase = union[phrase_index]
            found[index].append((places[index][phrase], patch_index, Detection(phrase, score, *box)))
        return [_sorted(one) for one in found]

    def _scored(self, pixels: Tensor, phrases: Tensor) -> tuple[Tensor, Tensor]:
        """Return boxes (B, patches, 4: centre and size, 0 to 1) and scores (B, patches, phrases)."""
        model, head = self._model, self._model.class_head
        hidden = self._vision(pixel_values=pixels.to(self._dtype)).last_hidden_state
        hidden = self._vision.post_layernorm(hidden).float()
        features = model.layer_norm(hidden[:, 1:] * hidden[:, :1])
        boxes = torch.sigmoid(model.box_head(features) + self._box_bias)
        classes = head.dense0(features)
        classes = classes / (torch.linalg.norm(classes, dim=-1, keepdim=True) + 1e-6)
        scale = head.elu(head.logit_scale(features)) + 1
        return boxes, torch.sigmoid((classes @ phrases.t() + head.logit_shift(features)) * scale)

    def _overflow(self) -> RetryLater:
        """Say that numbers were lost: compared with a threshold they would look like an empty image."""
        given = str(self._dtype).removeprefix("torch.")
        whole = "Its weights are damaged: choose another model"
        remedy = whole if self._dtype is torch.float32 else "Set LABELBUS_DETECTOR_DTYPE=float32"
        fact = f"The model computes in {given}, and its answer holds no numbers."
        return RetryLater(f"{fact} {remedy}, then resume the job.", scope="job", code="model-overflow")

    def _thresholds(self, asks: Sequence[Ask]) -> Tensor:
        return torch.tensor([ask.threshold for ask in asks], device=self._device).view(-1, 1, 1)

    def _asked(self, asks: Sequence[Ask], union: list[str]) -> Tensor:
        sets = [set(ask.phrases) for ask in asks]
        mask = torch.tensor([[phrase in one for phrase in union] for one in sets])
        return mask.to(self._device)[:, None, :]

    def _scales(self, asks: Sequence[Ask]) -> Tensor:
        sizes = [(ask.frame.width, ask.frame.height) for ask in asks]
        if self._is_v2:  # the picture lies in a square of its longer side
            sizes = [(max(size), max(size)) for size in sizes]
        return torch.tensor([[w, h, w, h] for w, h in sizes], dtype=torch.int32, device=self._device)


def _corners(boxes: Tensor) -> Tensor:
    x, y, width, height = boxes.unbind(-1)
    return torch.stack([x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height], -1)


def _sorted(rows: list[tuple[int, int, Detection]]) -> tuple[Detection, ...]:
    return tuple(row[2] for row in sorted(rows, key=lambda row: (-row[2].score, row[0], row[1])))
