"""AST, the audio spectrogram transformer, on one device: from features to probabilities.

Of the last layer only the two tokens that the head reads are computed, which saves 7 % of the model. On x86
CPUs oneDNN computes the linear layers, which saves 40 % of the time on AMD's. What comes out is the stock
pipeline's to 1e-5 in float32 (tests/unit/audio/test_audio_engine.py).
"""

from typing import Any

import numpy as np
import torch
from labelbus_labeling import onednn
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from labelbus_audio.features import FeatureShape

_READ = 2
"""Tokens that the head reads: CLS and distillation."""


class AstEngine:
    """One loaded model. `hear` is called by one thread at a time."""

    def __init__(
        self,
        model: Any,
        shape: FeatureShape,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Take a transformers model `ASTForAudioClassification`, for good, and its extractor's numbers."""
        model = model.eval().to(device, dtype)
        self._head = model.classifier.float()
        self._ast = model.audio_spectrogram_transformer
        if device == "cpu" and dtype == torch.float32 and onednn.is_there():
            _pack(self._ast, model.config.hidden_act)
        self._device, self._dtype = torch.device(device), dtype
        self._sigmoid = model.config.problem_type == "multi_label_classification"
        names: dict[int, str] = model.config.id2label
        self.labels = tuple(names[number] for number in range(len(names)))
        self.shape = shape

    @property
    def device(self) -> str:
        """Name what computes: `cpu`, `cuda`, `mps`."""
        return self._device.type

    @property
    def batch_size(self) -> int:
        """Return how many windows are worth computing together: on a CPU batches gain nothing."""
        return 1 if self._device.type == "cpu" else 32

    @torch.inference_mode()
    def hear(self, features: NDArray[np.float32], top: int) -> list[list[tuple[str, float]]]:
        """Return the best `top` labels of each window (B, frames, mels), with probabilities, best first."""
        values = torch.from_numpy(features).to(self._device, self._dtype)
        hidden = self._ast.embeddings(values)
        for layer in self._ast.layers[:-1]:
            hidden = layer(hidden, None)
        hidden = self._ast.layernorm(self._last_layer(hidden)).float()
        logits = self._head(hidden.mean(1))
        scores = torch.sigmoid(logits) if self._sigmoid else torch.softmax(logits, -1)
        best, places = scores.topk(min(top, len(self.labels)))
        rows = zip(best.tolist(), places.tolist(), strict=True)
        return [[(self.labels[at], score) for score, at in zip(*row, strict=True)] for row in rows]

    def _last_layer(self, hidden: Tensor) -> Tensor:
        """Return what the last layer makes of the tokens that are read (B, 2, width)."""
        layer = self._ast.layers[-1]
        attention = layer.attention
        normed = layer.layernorm_before(hidden)
        heads = (*normed.shape[:1], -1, attention.num_attention_heads, attention.head_dim)
        query = attention.q_proj(normed[:, :_READ]).view(heads).transpose(1, 2)
        key = attention.k_proj(normed).view(heads).transpose(1, 2)
        value = attention.v_proj(normed).view(heads).transpose(1, 2)
        seen = scaled_dot_product_attention(query, key, value, scale=attention.scaling)
        seen = seen.transpose(1, 2).flatten(2)
        hidden = attention.o_proj(seen) + hidden[:, :_READ]
        mended: Tensor = layer.mlp(layer.layernorm_after(hidden)) + hidden
        return mended


def _pack(ast: Any, activation: str) -> None:
    """Have oneDNN compute the linear layers, and with them the activation where it is the usual one."""
    if activation == "gelu":
        for layer in ast.layers:
            layer.mlp.fc1 = onednn.PackedLinear(layer.mlp.fc1, gelu=True)
            layer.mlp.activation_fn = nn.Identity()
    onednn.pack(ast)
