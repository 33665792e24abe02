"""Pictures for models: whole ones as they are where that can be read, and crops of boxes as JPEG."""

import io
from dataclasses import dataclass
from typing import Final

from labelbus_contracts.labels import BoundingBox, SampleFacts
from labelbus_labeling.images import damaged, frame_of, open_image
from PIL import Image, ImageOps

from labelbus_relabeler.questions import Picture

_JPEG_QUALITY: Final = 90
"""As the official block encodes its crops."""
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by its EXIF orientation."""
_SENT_AS_IS: Final = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}


def whole(data: bytes) -> Picture:
    """Return the whole picture, in its own bytes where providers read its format.

    Every pixel is decoded first: a damaged picture must not cost a call. Raises `SampleRefused`.
    """
    with open_image(data) as image:
        rgb = _decoded(image)
        media_type = _SENT_AS_IS.get(image.format or "")
        if media_type is None or getattr(image, "n_frames", 1) > 1:
            return _encoded(rgb)
        return Picture(data, media_type, rgb.width, rgb.height)


def upright(data: bytes) -> Image.Image:
    """Decode a picture and turn it upright. Raises `SampleRefused`."""
    with open_image(data) as image:
        return ImageOps.exif_transpose(_decoded(image))


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a picture in whole pixels; right and lower edge exclusive."""

    left: int
    top: int
    right: int
    bottom: int


class Cropper:
    """Cuts boxes out of one picture. Boxes are in the frame of Studio's `imageDimensions`.

    Where those are the file's unturned pixels, crops are cut from these and turned upright afterwards.
    """

    def __init__(self, data: bytes, facts: SampleFacts) -> None:
        """Decode the picture. Raises `SampleRefused`."""
        with open_image(data) as opened:
            frame = frame_of(opened)
            image = _decoded(opened)
        self._turn = _TURNS.get(frame.orientation)
        wanted = (facts.width or image.width, facts.height or image.height)
        if self._turn is not None and wanted != image.size and wanted == (frame.width, frame.height):
            image, self._turn = image.transpose(self._turn), None
        self._image = image
        self.width, self.height = wanted

    def inside(self, box: BoundingBox) -> BoundingBox | None:
        """Return a box cut to the picture; None where nothing of it is left."""
        left, top = max(box.x, 0), max(box.y, 0)
        right, bottom = min(box.x + box.width, self.width), min(box.y + box.height, self.height)
        if right - left < 1 or bottom - top < 1:
            return None
        if (left, top, right - left, bottom - top) == (box.x, box.y, box.width, box.height):
            return box
        return box.model_copy(update={"x": left, "y": top, "width": right - left, "height": bottom - top})

    def crop(self, box: BoundingBox, *, margin_percent: float = 0.0, least_px: int = 0) -> Picture:
        """Return a box that lies inside the picture as JPEG.

        `margin_percent` of its width and height is shown around it, as far as the picture goes; a crop
        whose shorter side is below `least_px` is enlarged to that.
        """
        region = self._region(box, margin_percent)
        crop = self._image.crop((region.left, region.top, region.right, region.bottom))
        if self._turn is not None:
            crop = crop.transpose(self._turn)
        short = min(crop.size)
        if short < least_px:
            scale = least_px / short
            size = (round(crop.width * scale), round(crop.height * scale))
            crop = crop.resize(size, Image.Resampling.LANCZOS)
        return _encoded(crop)

    def _region(self, box: BoundingBox, margin_percent: float) -> Region:
        x_scale, y_scale = self._image.width / self.width, self._image.height / self.height
        x_margin, y_margin = box.width * margin_percent / 100, box.height * margin_percent / 100
        left = min(max(round((box.x - x_margin) * x_scale), 0), self._image.width - 1)
        top = min(max(round((box.y - y_margin) * y_scale), 0), self._image.height - 1)
        right = min(round((box.x + box.width + x_margin) * x_scale), self._image.width)
        bottom = min(round((box.y + box.height + y_margin) * y_scale), self._image.height)
        return Region(left, top, max(right, left + 1), max(bottom, top + 1))


def png(image: Image.Image) -> Picture:
    """Return a picture as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return Picture(buffer.getvalue(), "image/png", image.width, image.height)


def _decoded(image: Image.Image) -> Image.Image:
    try:
        if image.mode.startswith("I"):  # 16-bit grey, which `convert` alone would saturate
            return image.point(lambda value: value * (1 / 257)).convert("L").convert("RGB")
        return image.convert("RGB")
    except MemoryError:
        raise
    except Exception as error:  # the decoders raise nearly anything for damaged bytes
        raise damaged(error) from error


def _encoded(image: Image.Image) -> Picture:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, exif=b"")
    return Picture(buffer.getvalue(), "image/jpeg", image.width, image.height)
