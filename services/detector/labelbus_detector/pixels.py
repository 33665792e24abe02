"""Preprocessing: from an upright RGB picture to the model's pixels, equal to the stock processors' to 1e-5.

OWLv2 pads to a square, blurs (Gaussian, mirrored edges, cut off at 4 sigma) and zooms linearly. Both are
linear and separable, so each axis is one sparse matrix, made once per size; padding adds nothing and is
left out. No scipy, no torchvision. OWL-ViT squashes the picture with Pillow's bicubic filter.
"""

from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import embedding_bag

from labelbus_detector.images import Pixels

_MEAN: Final = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
_STD: Final = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
_BLOCK_VALUES: Final = 1 << 23
"""Values of the picture held as float32 at once on the CPU (32 MiB), however large it is."""
_LONGEST_DENSE_SIDE: Final = 8192
"""Longer sides are prepared on the CPU: their dense matrices would crowd the GPU."""


def padded_square(rgb: Pixels, size: int, *, device: str = "cpu", pad_value: float = 0.0) -> Tensor:
    """Prepare a picture for OWLv2: (3, size, size) float32, normalised.

    `pad_value` is the grey, 0 to 1, of the padding at the right and bottom: 0 in transformers 5, 0.5
    before.
    """
    on_device = device != "cpu" and max(rgb.shape) <= _LONGEST_DENSE_SIDE
    zoomed = _by_matrices(rgb, size, device, pad_value) if on_device else _by_taps(rgb, size, pad_value)
    return _normalised(zoomed.mul_(1 / 255).add_(pad_value))


def squashed_square(rgb: Pixels, size: int) -> Tensor:
    """Prepare a picture for OWL-ViT: (3, size, size) float32, normalised, its aspect ratio lost."""
    resized = Image.fromarray(rgb).resize((size, size), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).to(torch.float32, copy=True)
    return _normalised(pixels.contiguous().mul_(1 / 255))


def _normalised(pixels: Tensor) -> Tensor:
    return pixels.sub_(_MEAN.to(pixels.device)).div_(_STD.to(pixels.device))


def _by_taps(rgb: Pixels, size: int, pad_value: float) -> Tensor:
    height, width = rgb.shape[:2]
    side = max(height, width)
    rows, columns = axis_taps(side, size, height), axis_taps(side, size, width)
    low = _zoomed_rows(rgb, rows, pad_value)
    low = low.view(-1, width, 3).permute(1, 0, 2).reshape(width, -1)
    small = _weighted(low, columns).view(len(columns[0]), len(rows[0]), 3).permute(2, 1, 0)
    result = torch.zeros(3, size, size)
    result[:, : small.shape[1], : small.shape[2]] = small
    return result


def _zoomed_rows(rgb: Pixels, rows: "Taps", pad_value: float) -> Tensor:
    height, width = rgb.shape[:2]
    result = torch.empty(len(rows[0]), width * 3)
    step = max(1, _BLOCK_VALUES // (3 * height))
    for start in range(0, width, step):
        block = torch.tensor(rgb[:, start : start + step], dtype=torch.float32).reshape(height, -1)
        if pad_value:
            block -= 255 * pad_value
        result[:, 3 * start : 3 * start + block.shape[1]] = _weighted(block, rows)
    return result


def _weighted(lines: Tensor, taps: "Taps") -> Tensor:
    indexes, weights = taps
    return embedding_bag(indexes, lines, per_sample_weights=weights, mode="sum")


def _by_matrices(rgb: Pixels, size: int, device: str, pad_value: float) -> Tensor:
    height, width = rgb.shape[:2]
    side = max(height, width)
    picture = torch.tensor(rgb, device=device).permute(2, 0, 1).to(torch.float32)
    if pad_value:
        picture -= 255 * pad_value
    rows, columns = axis_matrix(side, size, height, device), axis_matrix(side, size, width, device)
    return torch.matmul(torch.matmul(rows, picture), columns.t())


Taps = tuple[Tensor, Tensor]


@lru_cache(maxsize=128)
def axis_taps(n_in: int, n_out: int, n_real: int) -> Taps:
    """Return for each output line the input lines (rows, taps) int64 it is made of, and their weights.

    `n_in` counts the padded square, `n_real` the picture in it. Output lines that see only padding, at
    the end, are left out.
    """
    indexes, weights = _blurred_zoom(n_in, n_out)
    real = indexes < n_real
    rows = int(np.flatnonzero(real.any(axis=1))[-1]) + 1
    indexes, weights = np.where(real, indexes, 0)[:rows], np.where(real, weights, 0)[:rows]
    return torch.from_numpy(indexes), torch.from_numpy(weights.astype(np.float32))


@lru_cache(maxsize=16)
def axis_matrix(n_in: int, n_out: int, n_real: int, device: str) -> Tensor:
    """Return `axis_taps` as a dense (n_out, n_real) float32 matrix on a device."""
    indexes, weights = axis_taps(n_in, n_out, n_real)
    dense = torch.zeros(n_out, n_real)
    dense[: len(indexes)].scatter_add_(1, indexes, weights)
    return dense.to(device)


def _blurred_zoom(n_in: int, n_out: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Compose scipy's `gaussian_filter1d(sigma=(f-1)/2, truncate=4, mirror)` and `zoom(order=1, grid_mode)`.

    A zoomed line lies between two neighbours; blurring both widens the pair to 2*radius + 2 taps.
    """
    factor = n_in / n_out
    sigma = max(0.0, (factor - 1) / 2)
    radius = int(4 * sigma + 0.5)
    position = (np.arange(n_out) + 0.5) * factor - 0.5
    lower = np.floor(position).astype(np.int64)
    upper_share = (position - lower)[:, None]
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2) if radius else np.ones(1)
    kernel = kernel / kernel.sum()
    weights = np.pad((1 - upper_share) * kernel, ((0, 0), (0, 1)))
    weights[:, 1:] += upper_share * kernel
    return _mirrored(lower[:, None] + np.arange(-radius, radius + 2), n_in), weights


def _mirrored(indexes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Reflect about the centre of the edge lines, as scipy's mode "mirror" does."""
    if count == 1:
        return np.zeros_like(indexes)
    period = 2 * count - 2
    folded = indexes % period
    return np.where(folded >= count, period - folded, folded)
