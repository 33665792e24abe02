"""Finding coloured shapes in a picture by colour alone: what the stand-in models see with."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from labelbus_simulator.documents import Doc
from labelbus_simulator.shapes import COLORS, SHAPES

_NAMES = tuple(COLORS)
_PALETTE = np.array(list(COLORS.values()), dtype=np.int32)
_NEAR = 60  # Euclidean distance in RGB at which a pixel still has a colour
_SMALLEST = 0.005  # of the picture's area: thinner things are distractor lines
_LARGEST_SIDE = 1024
_KEPT = 1024  # pictures whose shapes are remembered


@dataclass(frozen=True, slots=True)
class Seen:
    """One shape found; pixels of the upright picture, right and lower edge exclusive."""

    color: str
    shape: str
    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def label(self) -> str:
        """For example `red square`."""
        return f"{self.color} {self.shape}"

    @property
    def area(self) -> int:
        return (self.x1 - self.x0) * (self.y1 - self.y0)


def find_shapes(data: bytes) -> list[Seen]:
    """Shapes of an encoded picture, largest first. Raises OSError when it is none."""
    return list(_shapes(data))


@lru_cache(maxsize=_KEPT)
def _shapes(data: bytes) -> tuple[Seen, ...]:
    image = _open(data)
    scale = max(1.0, max(image.size) / _LARGEST_SIDE)
    if scale > 1:
        image = image.resize((max(1, round(image.width / scale)), max(1, round(image.height / scale))))
    colors = _color_of_pixels(np.asarray(image, dtype=np.int32))
    smallest = max(4, _SMALLEST * image.width * image.height)
    found = [_see(blob, scale) for blob in _blobs(colors) if blob.pixels >= smallest]
    return tuple(sorted(found, key=lambda seen: -seen.area))


def name_picture(data: bytes) -> str:
    """Label of the largest shape, or `nothing`. Raises OSError."""
    found = find_shapes(data)
    return found[0].label if found else "nothing"


def match(seen: Seen, phrase: str) -> float:
    """How well a phrase names a shape: 0.9 by colour and shape, 0.6 by one of them, 0 when it does not."""
    words = phrase.lower().replace("-", " ").split()
    colors = [word for word in words if word in COLORS]
    shapes = [word.removesuffix("s") for word in words if word.removesuffix("s") in SHAPES]
    if (not colors and not shapes) or (colors and seen.color not in colors):
        return 0.0
    if shapes and seen.shape not in shapes:
        return 0.0
    return 0.9 if colors and shapes else 0.6


def answer_with_boxes(data: bytes) -> Doc:
    """A project's detector for `Project.classify`: every shape with a score, in pixels."""
    boxes = [
        {"label": s.label, "x": s.x0, "y": s.y0, "width": s.x1 - s.x0, "height": s.y1 - s.y0, "score": 0.9}
        for s in find_shapes(data)
    ]
    return {"boundingBoxes": boxes}


def answer_with_result(data: bytes) -> Doc:
    """A project's classifier for `Project.classify`: a probability for every colour, by area."""
    areas = dict.fromkeys(_NAMES, 1)
    for seen in find_shapes(data):
        areas[seen.color] += seen.area
    total = sum(areas.values())
    return {"result": {color: area / total for color, area in areas.items()}}


@dataclass(slots=True)
class _Blob:
    color: int
    pixels: int
    x0: int
    y0: int
    x1: int
    y1: int

    def absorb(self, other: "_Blob") -> None:
        self.pixels += other.pixels
        self.x0, self.y0 = min(self.x0, other.x0), min(self.y0, other.y0)
        self.x1, self.y1 = max(self.x1, other.x1), max(self.y1, other.y1)


def _open(data: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data)) as opened:
            return ImageOps.exif_transpose(opened).convert("RGB")
    except Image.DecompressionBombError as error:
        raise OSError(str(error)) from error


def _color_of_pixels(pixels: NDArray[np.int32]) -> NDArray[np.int8]:
    """Index of the palette colour near each pixel, -1 where none is."""
    distance = np.stack([((pixels - color) ** 2).sum(axis=2) for color in _PALETTE])
    nearest = distance.argmin(axis=0).astype(np.int8)
    return np.where(distance.min(axis=0) <= _NEAR**2, nearest, np.int8(-1))


def _blobs(colors: NDArray[np.int8]) -> Iterable[_Blob]:
    """Connected areas of one colour, joined row by row from runs of equal pixels."""
    parents: list[int] = []
    blobs: list[_Blob] = []
    above: list[tuple[int, int, int]] = []
    for y, row in enumerate(colors):
        runs: list[tuple[int, int, int]] = []
        for start, end in _runs(row):
            number = len(blobs)
            blobs.append(_Blob(int(row[start]), end - start, start, y, end, y + 1))
            parents.append(number)
            for a, b, other in above:
                if a < end and start < b and blobs[other].color == blobs[number].color:
                    parents[_root(parents, other)] = _root(parents, number)
            runs.append((start, end, number))
        above = runs
    for number, blob in enumerate(blobs):
        root = _root(parents, number)
        if root != number:
            blobs[root].absorb(blob)
    return [blob for number, blob in enumerate(blobs) if parents[number] == number]


def _runs(row: NDArray[np.int8]) -> Iterator[tuple[int, int]]:
    edges = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
    for start, end in pairwise(edges):
        if row[start] >= 0:
            yield start, end


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number


def _see(blob: _Blob, scale: float) -> Seen:
    filled = blob.pixels / ((blob.x1 - blob.x0) * (blob.y1 - blob.y0))
    shape = "square" if filled > 0.9 else "circle" if filled > 0.64 else "triangle"
    corners = (round(v * scale) for v in (blob.x0, blob.y0, blob.x1, blob.y1))
    return Seen(_NAMES[blob.color], shape, *corners)
