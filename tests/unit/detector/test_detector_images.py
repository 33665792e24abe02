"""Decoding: every kind of picture works, and what is none is refused with a reason."""

import io

import numpy as np
import pytest
from labelbus_detector.images import decode, frame_of
from labelbus_detector.testing import encoded, shapes
from labelbus_runtime.errors import SampleRefused
from PIL import Image, ImageOps


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
def test_modes_of_png_become_rgb(mode: str) -> None:
    """Colour, alpha, grey, palette, two colours and 16 bits are all read."""
    if mode == "I;16":
        image = Image.fromarray(np.asarray(shapes().convert("L")).astype(np.uint16) * 257)
    else:
        image = shapes().convert(mode)
    picture = decode(encoded(image))
    assert picture.rgb.shape == (240, 320, 3)
    assert picture.rgb.dtype == np.uint8


def test_sixteen_bits_are_scaled() -> None:
    """Grey of 16 bits becomes the same grey of 8."""
    grey = np.asarray(shapes().convert("L"))
    picture = decode(encoded(Image.fromarray(grey.astype(np.uint16) * 257)))
    assert np.array_equal(picture.rgb[:, :, 0], grey)


def test_cmyk_is_read() -> None:
    """A JPEG for print is read."""
    assert decode(encoded(shapes().convert("CMYK"), "JPEG")).rgb.shape == (240, 320, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(10))
def test_a_turned_photo_is_upright(kind: str, orientation: int) -> None:
    """Every EXIF orientation is undone, and the header alone tells the upright size; 0 and 9 say nothing."""
    image = shapes()
    exif = image.getexif()
    exif[0x0112] = orientation
    data = encoded(image, kind, exif=exif)
    picture = decode(data)
    with Image.open(io.BytesIO(data)) as opened:
        assert np.array_equal(picture.rgb, np.asarray(ImageOps.exif_transpose(opened)))
    assert picture.rgb.shape == ((320, 240, 3) if 5 <= orientation <= 8 else (240, 320, 3))
    assert picture.frame == frame_of(data)
    assert picture.frame.orientation == (orientation if 1 <= orientation <= 8 else 1)


def test_a_palette_with_transparency_is_read_without_a_warning() -> None:
    """What the palette says of transparency is dropped, as alpha is."""
    image = shapes().convert("P")
    data = encoded(image, transparency=bytes([0, 128, 255]))
    assert np.array_equal(decode(data).rgb, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_of_pictures_that_move_the_first_counts(kind: str) -> None:
    """Animations, pages and a phone's second picture are left aside."""
    first, second = Image.new("RGB", (40, 20), "black"), Image.new("RGB", (40, 20), "white")
    picture = decode(encoded(first, kind, save_all=True, append_images=[second]))
    assert (picture.frame.width, picture.frame.height, int(picture.rgb.max())) == (40, 20, 0)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 2), (2, 20_000)])
def test_odd_sizes_work(size: tuple[int, int]) -> None:
    """One pixel, and very wide or tall pictures, are read."""
    assert decode(encoded(Image.new("RGB", size))).frame.width == size[0]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "image-empty"),
        (b"hello", "image-unreadable"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "image-unreadable"),
        (encoded(shapes())[:700], "image-damaged"),
        (encoded(shapes(), "JPEG")[:900], "image-damaged"),
        (encoded(Image.new("1", (66_000, 1))), "image-too-large"),
        (encoded(Image.new("1", (30_000, 30_000))), "image-too-large"),
        (encoded(Image.new("1", (10_000, 9_100))), "image-too-large"),
    ],
    ids=["empty", "text", "eps", "cut-png", "cut-jpeg", "too-wide", "bomb", "large"],
)
def test_bad_images_are_refused(data: bytes, code: str) -> None:
    """Empty, foreign, truncated and huge files each have their reason; none costs memory."""
    with pytest.raises(SampleRefused) as caught:
        decode(data)
    assert caught.value.code == code


def test_the_limit_is_a_setting() -> None:
    """A smaller limit refuses what would be fine, before decoding it."""
    with pytest.raises(SampleRefused, match="320 \\* 240 pixels"):
        decode(encoded(shapes()), max_pixels=1000)


def test_unreadable_exif_says_nothing() -> None:
    """A photo whose EXIF block is garbage is still read, as it lies."""
    data = encoded(shapes(), "JPEG", exif=b"Exif\x00\x00garbage!")
    assert decode(data).frame.orientation == 1
