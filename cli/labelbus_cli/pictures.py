"""Scale a sample's image for people, and give every label a colour of its own."""

import colorsys
import hashlib
import io
from dataclasses import dataclass

from labelbus_contracts.labels import SampleFacts
from PIL import Image, ImageOps

_HALFWAY = 0.179
"""The luminance that is as far from white as from black."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A scaled image, and the frame in pixels that the sample's boxes are measured in."""

    image: Image.Image
    frame_width: int
    frame_height: int

    def jpeg(self, quality: int = 78) -> bytes:
        """Return the scaled image as JPEG."""
        buffer = io.BytesIO()
        self.image.save(buffer, "JPEG", quality=quality, optimize=True)
        return buffer.getvalue()


class NoPicture(Exception):
    """The bytes are no image that can be shown."""


def scaled(data: bytes, facts: SampleFacts, *, widest: int) -> Picture:
    """Decode an image and scale it down to `widest` pixels. Raises `NoPicture`.

    Where Studio's dimensions are those of the upright image, it is turned by its EXIF orientation.
    """
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.draft("RGB", (widest * 2, widest * 2))
            stored = opened.size
            image = _turned(opened, facts).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, MemoryError) as error:
        raise NoPicture(f"The image cannot be decoded: {error}.") from error
    width, height = facts.width or stored[0], facts.height or stored[1]
    image.thumbnail((widest, widest), Image.Resampling.BILINEAR)
    return Picture(image, width, height)


def colour(label: str) -> tuple[int, int, int]:
    """Return a saturated colour that the same label always has."""
    hue = int.from_bytes(hashlib.sha256(label.encode()).digest()[:2], "big") / 65536
    red, green, blue = colorsys.hls_to_rgb(hue, 0.45, 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


def readable_on(label: str) -> str:
    """Return the colour of letters, black or white, that stands out from the label's own (WCAG 2.1)."""
    red, green, blue = (_linear(part / 255) for part in colour(label))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#fff" if luminance < _HALFWAY else "#111"


def _linear(part: float) -> float:
    """Undo the gamma of sRGB."""
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def _turned(image: Image.Image, facts: SampleFacts) -> Image.Image:
    if facts.width is None or facts.height is None:
        return ImageOps.exif_transpose(image)
    turned = ImageOps.exif_transpose(image)
    fits = (turned.width > turned.height) == (facts.width > facts.height)
    return turned if fits or facts.width == facts.height else image
