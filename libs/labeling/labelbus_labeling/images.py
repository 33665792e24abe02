"""Opening the pictures that Studio holds: a readable image within limits, or a clear refusal."""

import io
from dataclasses import dataclass
from typing import Final

from labelbus_runtime.errors import SampleRefused
from PIL import ExifTags, Image, UnidentifiedImageError

Image.init()  # otherwise Pillow knows only some formats until it has met a stranger
FORMATS: Final = tuple(
    name for name in ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM") if name in Image.OPEN
)
"""What is read. Left out are formats that run other programs (EPS) or are rare enough to only be risk."""
MAX_PIXELS: Final = 89_000_000
"""The default limit, just below the one from which Pillow warns of a decompression bomb."""
MAX_SIDE: Final = 65_500
"""The longest side, in pixels: what a JPEG can have."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The upright image's size in pixels, and the EXIF orientation (1 to 8) of the file it came from."""

    width: int
    height: int
    orientation: int = 1

    @property
    def is_turned(self) -> bool:
        """Tell whether the file stores rows as columns."""
        return self.orientation >= 5


def open_image(data: bytes, *, max_pixels: int = MAX_PIXELS, setting: str = "") -> Image.Image:
    """Open an image by its header, without decoding; the caller closes it. Raises `SampleRefused`.

    `setting` names what raises the limit on pixels, where something does.
    """
    if not data:
        raise SampleRefused(
            "The image has no bytes. Upload the sample again, or remove it from the job.", code="image-empty"
        )
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large("more pixels than can be decoded safely", setting) from error
    except UnidentifiedImageError as error:
        fact = f"The sample's bytes are no image that can be read ({', '.join(FORMATS)})."
        raise SampleRefused(f"{fact} Remove it from the job.", code="image-unreadable") from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged header makes the format's plugin raise nearly anything
        raise SampleRefused(f"The image's header is damaged: {error}.", code="image-damaged") from error
    width, height = image.size
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise _too_large(f"{width} * {height} pixels", setting)
    if not width or not height:
        raise SampleRefused("The image has no pixels.", code="image-empty")
    return image


def damaged(error: Exception) -> SampleRefused:
    """Return the refusal of an image whose pixels cannot be decoded."""
    fact = f"The image is damaged: {error}. Upload the sample again, or remove it from the job."
    return SampleRefused(fact, code="image-damaged")


def frame_of(image: Image.Image) -> Frame:
    """Return the size that the image has when it is turned upright."""
    try:
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # unreadable EXIF says nothing
        orientation = 1
    orientation = orientation if 1 <= orientation <= 8 else 1
    width, height = image.size
    if orientation >= 5 and image.format != "TIFF":  # Pillow gives the upright size of TIFFs
        width, height = height, width
    return Frame(width, height, orientation)


def _too_large(fact: str, setting: str) -> SampleRefused:
    remedy = f"Scale it down, or raise {setting}." if setting else "Scale it down."
    return SampleRefused(f"The image is too large: {fact}. {remedy}", code="image-too-large")
