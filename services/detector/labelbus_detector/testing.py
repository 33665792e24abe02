"""Pictures with known contents, for tests and benchmarks of the detector."""

import io
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw

RED_SQUARE: Final = (60, 50, 160, 150)
BLUE_CIRCLE: Final = (200, 110, 290, 200)


def shapes(width: int = 320, height: int = 240) -> Image.Image:
    """Draw a red square and a blue circle on a dark ground."""
    image = Image.new("RGB", (width, height), (30, 32, 36))
    draw = ImageDraw.Draw(image)
    draw.rectangle(RED_SQUARE, fill=(220, 40, 40))
    draw.ellipse(BLUE_CIRCLE, fill=(50, 80, 230))
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Encode a picture."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def smooth_noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Make a picture of soft random colours."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (max(2, height // 12), max(2, width // 12), 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
