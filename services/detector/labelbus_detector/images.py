"""Decoding: from the bytes that Studio holds to an upright RGB picture, or a clear refusal.

Colours become what the stock pipeline makes of them (EXIF turned upright, alpha dropped, palette and CMYK
converted), except that 16-bit grey is scaled to 8 bits, where the pipeline saturates it to white.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from labelbus_labeling.images import MAX_PIXELS, Frame, damaged, open_image
from labelbus_labeling.images import frame_of as opened_frame
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]
_LIMIT_SETTING: Final = "LABELBUS_DETECTOR_MAX_PIXELS"


@dataclass(frozen=True, slots=True)
class Picture:
    """An upright picture: `rgb` is (height, width, 3)."""

    rgb: Pixels
    frame: Frame


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode an image. Raises `SampleRefused`."""
    with open_image(data, max_pixels=max_pixels, setting=_LIMIT_SETTING) as image:
        frame = opened_frame(image)
        try:
            upright = ImageOps.exif_transpose(image) if frame.orientation > 1 else image
            rgb = np.asarray(_rgb(upright))
        except MemoryError:
            raise
        except Exception as error:  # the decoders raise nearly anything for damaged bytes
            raise damaged(error) from error
    return Picture(rgb, Frame(rgb.shape[1], rgb.shape[0], frame.orientation))


def frame_of(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Frame:
    """Return the upright size from the header alone, without decoding. Raises `SampleRefused`."""
    with open_image(data, max_pixels=max_pixels, setting=_LIMIT_SETTING) as image:
        return opened_frame(image)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey
        grey = np.asarray(image).astype(np.float64).clip(0, 65535)
        return Image.fromarray((grey / 257).round().astype(np.uint8)).convert("RGB")
    if isinstance(image.info.get("transparency"), bytes):  # a palette's; straight to RGB Pillow warns of it
        image = image.convert("RGBA")
    return image.convert("RGB")
