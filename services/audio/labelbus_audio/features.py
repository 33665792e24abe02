"""What AST sees of a sound: log-mel energies of 25 ms frames every 10 ms, as transformers' extractor.

All windows of a clip are computed at once. Equal to `ASTFeatureExtractor` to 1e-4 (see the tests).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from labelbus_audio.clips import Values

RATE: Final = 16_000
_FRAME: Final = 400
_HOP: Final = 160
_FFT: Final = 512
_PREEMPHASIS: Final = 0.97
_FLOOR: Final = 1.192092955078125e-07
"""Of the energies, as Kaldi's: the smallest step of float32."""


@dataclass(frozen=True, slots=True)
class FeatureShape:
    """The numbers of a checkpoint's extractor; the defaults are AST's on AudioSet."""

    frames: int = 1024
    mels: int = 128
    mean: float = -4.2677393
    std: float = 4.5689974
    filters: NDArray[np.float64] = field(default_factory=lambda: mel_filters(128))

    @property
    def longest(self) -> int:
        """Return how many samples at 16 kHz the model takes in."""
        return (self.frames - 1) * _HOP + _FRAME


def features_of(sounds: Sequence[Values], shape: FeatureShape) -> NDArray[np.float32]:
    """Return (sounds, frames, mels), float32. The sounds are of one length, at 16 kHz."""
    values = np.stack(sounds)[:, : shape.longest].astype(np.float64)
    if values.shape[1] < _FRAME:
        values = np.pad(values, ((0, 0), (0, _FRAME - values.shape[1])))
    frames = sliding_window_view(values, _FRAME, axis=1)[:, ::_HOP]
    frames = frames - frames.mean(axis=-1, keepdims=True)
    frames[..., 1:] -= _PREEMPHASIS * frames[..., :-1]
    frames[..., 0] *= 1 - _PREEMPHASIS
    frames *= np.hanning(_FRAME)
    spectrum = np.fft.rfft(frames, _FFT, axis=-1)
    power = spectrum.real**2 + spectrum.imag**2
    logs = np.log(np.maximum(power @ shape.filters, _FLOOR))
    padded = np.zeros((len(values), shape.frames, shape.mels), dtype=np.float32)
    padded[:, : logs.shape[1]] = logs[:, : shape.frames]
    return (padded - np.float32(shape.mean)) / np.float32(2 * shape.std)


def mel_filters(mels: int) -> NDArray[np.float64]:
    """Return Kaldi's triangles (257, mels), 20 Hz to 8 kHz, drawn on the mel scale."""
    bins = _mel(np.linspace(0.0, RATE / 2, _FFT // 2 + 1))[:, None]
    lowest, highest = _mel(np.array([20.0, RATE / 2])).tolist()
    edges = np.linspace(lowest, highest, mels + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    filters: NDArray[np.float64] = np.minimum(rising, falling).clip(min=0.0)
    return filters


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(hertz / 700.0)
