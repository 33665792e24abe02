"""Decoding: from the bytes that Studio holds to an upright RGB picture, or a clear refusal.

Colours become what the stock pipeline makes of them (EXIF turned upright, alpha dropped, palette and CMYK
converted), except that 16-bit grey is scaled to 8 bits, where the pipeline saturates it to white.
"""

import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from labelbus_runtime.errors import SampleRefused
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from labelbus_detector.detections import Frame

Pixels = NDArray[np.uint8]
Image.init()  # otherwise Pillow knows only some formats until it has met a stranger
FORMATS: Final = tuple(
    name for name in ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM") if name in Image.OPEN
)
"""What is read. Left out are formats that run other programs (EPS) or are rare enough to only be risk."""
MAX_PIXELS: Final = 89_000_000
"""The default limit, just below the one from which Pillow warns of a decompression bomb."""
MAX_SIDE: Final = 65_500
"""The longest side, in pixels: what a JPEG can have. It bounds the weights that preprocessing keeps."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An upright picture: `rgb` is (height, width, 3)."""

    rgb: Pixels
    frame: Frame


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode an image. Raises `SampleRefused`."""
    with _open(data, max_pixels) as image:
        frame = _frame(image)
        try:
            upright = ImageOps.exif_transpose(image) if frame.orientation > 1 else image
            rgb = np.asarray(_rgb(upright))
        except MemoryError:
            raise
        except Exception as error:  # the decoders raise nearly anything for damaged bytes
            fact = f"The image is damaged: {error}. Upload the sample again, or remove it from the job."
            raise SampleRefused(fact, code="image-damaged") from error
    return Picture(rgb, Frame(rgb.shape[1], rgb.shape[0], frame.orientation))


def frame_of(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Frame:
    """Return the upright size from the header alone, without decoding. Raises `SampleRefused`."""
    with _open(data, max_pixels) as image:
        return _frame(image)


def _open(data: bytes, max_pixels: int) -> Image.Image:
    if not data:
        raise SampleRefused(
            "The image has no bytes. Upload the sample again, or remove it from the job.", code="image-empty"
        )
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large("more pixels than can be decoded safely") from error
    except UnidentifiedImageError as error:
        fact = f"The sample's bytes are no image that can be read ({', '.join(FORMATS)})."
        raise SampleRefused(f"{fact} Remove it from the job.", code="image-unreadable") from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged header makes the format's plugin raise nearly anything
        raise SampleRefused(f"The image's header is damaged: {error}.", code="image-damaged") from error
    width, height = image.size
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise _too_large(f"{width} * {height} pixels")
    if not width or not height:
        raise SampleRefused("The image has no pixels.", code="image-empty")
    return image


def _too_large(fact: str) -> SampleRefused:
    return SampleRefused(
        f"The image is too large: {fact}. Scale it down, or raise LABELBUS_DETECTOR_MAX_PIXELS.",
        code="image-too-large",
    )


def _frame(image: Image.Image) -> Frame:
    try:
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # unreadable EXIF says nothing
        orientation = 1
    orientation = orientation if 1 <= orientation <= 8 else 1
    width, height = image.size
    return Frame(height, width, orientation) if orientation >= 5 else Frame(width, height, orientation)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey
        grey = np.asarray(image).astype(np.float64).clip(0, 65535)
        return Image.fromarray((grey / 257).round().astype(np.uint8)).convert("RGB")
    return image.convert("RGB")
