"""Preprocessing equals the stock processors', on both ways to compute it."""

import numpy as np
import pytest
import torch
from labelbus_detector import pixels
from labelbus_detector.images import Pixels
from PIL import Image
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil
from transformers.models.owlvit.image_processing_pil_owlvit import OwlViTImageProcessorPil

SHAPES = [(48, 64), (64, 64), (65, 64), (300, 97), (10, 10), (4, 4), (5, 200), (240, 320)]
TOLERANCE = 1e-5


def picture(height: int, width: int) -> Pixels:
    """Make noise: the hardest case for a blur."""
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_owlv2_pixels_are_the_processors(height: int, width: int) -> None:
    """Padding, blur and zoom by taps and by matrices both match scipy's."""
    rgb = picture(height, width)
    processor = Owlv2ImageProcessorPil(size={"height": 64, "width": 64})
    wanted = processor(rgb, input_data_format="channels_last", return_tensors="pt").pixel_values[0]
    assert (pixels.padded_square(rgb, 64) - wanted).abs().max() < TOLERANCE
    dense = pixels._normalised(pixels._by_matrices(rgb, 64, "cpu", 0.0).div_(255))
    assert (dense - wanted).abs().max() < TOLERANCE


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_owlvit_pixels_are_the_processors(height: int, width: int) -> None:
    """Bicubic squashing matches."""
    rgb = picture(height, width)
    processor = OwlViTImageProcessorPil(size={"height": 64, "width": 64})
    wanted = processor(Image.fromarray(rgb), return_tensors="pt").pixel_values[0]
    assert (pixels.squashed_square(rgb, 64) - wanted).abs().max() < TOLERANCE


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Working through a large picture in strips gives the same pixels."""
    rgb = picture(90, 130)
    whole = pixels.padded_square(rgb, 64)
    monkeypatch.setattr(pixels, "_BLOCK_VALUES", 2000)
    assert torch.equal(pixels.padded_square(rgb, 64), whole)


def test_padding_may_be_grey() -> None:
    """`pad_value` is what a picture padded with that grey would give."""
    rgb = picture(40, 100)
    padded = np.full((100, 100, 3), 128, np.uint8)
    padded[:40] = rgb
    grey = pixels.padded_square(rgb, 64, pad_value=128 / 255)
    assert (grey - pixels.padded_square(padded, 64)).abs().max() < TOLERANCE


def test_very_wide_pictures_keep_small_weights() -> None:
    """20,000 pixels of width cost a window of taps, not a dense matrix."""
    indexes, weights = pixels.axis_taps(20_000, 960, 20_000)
    assert indexes.shape == weights.shape and indexes.shape[1] < 200
    assert pixels.padded_square(np.zeros((3, 20_000, 3), np.uint8), 64).shape == (3, 64, 64)
