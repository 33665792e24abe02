"""The text side of an OWL model: phrases to unit vectors, each computed once and remembered."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

REMEMBERED: Final = 4096
"""Phrases kept, the least recently used leaving first: 2 KiB each for the base models."""

_TOLD: Final = 3
_SHOWN: Final = 100
"""Characters of a long phrase that its note repeats."""


class PhraseEncoder:
    """Encodes phrases with a model's text tower, in float32. Not for several threads at once."""

    def __init__(self, towers: Any, tokenizer: Any, *, max_tokens: int, device: torch.device) -> None:
        self._towers = towers
        self._tokenizer = tokenizer
        self._device = device
        self._known: OrderedDict[str, Tensor] = OrderedDict()
        self._too_long: dict[str, int] = {}
        self.max_tokens = max_tokens

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        """Return the vectors (phrases, dim) that the class head compares image patches with."""
        missing = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._known]
        if missing:
            for phrase in missing:
                self._measure(phrase)
            self._known.update(zip(missing, self._encode(missing), strict=True))
        vectors = torch.stack([self._known[phrase] for phrase in phrases])
        for phrase in phrases:
            self._known.move_to_end(phrase)
        while len(self._known) > REMEMBERED:
            self._too_long.pop(self._known.popitem(last=False)[0], None)
        return vectors

    def notes(self, phrases: Sequence[str]) -> tuple[str, ...]:
        """Say which of the phrases encoded so far are longer than the model reads; a few by their words.

        Any thread may ask. The notes are kept with every sample.
        """
        cut = [(phrase, count) for phrase in phrases if (count := self._too_long.get(phrase))]
        told = [
            f"The prompt '{_shown(phrase)}' has {count} tokens; the model reads {self.max_tokens}, "
            "the rest was cut off."
            for phrase, count in cut[:_TOLD]
        ]
        more = [f"So it was of {len(cut) - _TOLD} more."] if len(cut) > _TOLD else []
        return (*told, *more)

    def _measure(self, phrase: str) -> None:
        if len(phrase.encode()) + 2 <= self.max_tokens:  # a byte is the smallest token
            return
        count = len(self._tokenizer(phrase, truncation=False, padding=False, verbose=False)["input_ids"])
        if count > self.max_tokens:
            self._too_long[phrase] = count

    @torch.inference_mode()
    def _encode(self, phrases: list[str]) -> list[Tensor]:
        tokens = self._tokenizer(
            phrases, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        ).to(self._device)
        pooled = self._towers.text_model(
            input_ids=tokens.input_ids, attention_mask=tokens.attention_mask
        ).pooler_output
        vectors = self._towers.text_projection(pooled)
        vectors = vectors / torch.linalg.norm(vectors, dim=-1, keepdim=True)  # as the model's forward does
        vectors = vectors / (
            torch.linalg.norm(vectors, dim=-1, keepdim=True) + 1e-6
        )  # as its class head does
        return [vector.clone() for vector in vectors]


def _shown(phrase: str) -> str:
    return phrase if len(phrase) <= _SHOWN else f"{phrase[:_SHOWN]}…"
