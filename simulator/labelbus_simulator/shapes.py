"""Pictures of coloured shapes on dark ground, with the truth of what was drawn."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from PIL import Image, ImageDraw

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (50, 80, 230),
    "yellow": (235, 210, 50),
    "purple": (150, 50, 190),
    "white": (245, 245, 245),
}
SHAPES = ("square", "circle", "triangle")
KINDS: tuple[tuple[str, str], ...] = tuple(product(COLORS, SHAPES))

_OVERSAMPLING = 2  # drawn twice as large, then averaged down: soft edges


@dataclass(frozen=True, slots=True)
class Shape:
    """One drawn object; corners in pixels of the upright picture, right and lower edge exclusive."""

    color: str
    shape: str
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def label(self) -> str:
        """For example `red square`."""
        return f"{self.color} {self.shape}"

    def box(self) -> dict[str, str | int]:
        """Studio's bounding box: whole pixels, at least 1×1."""
        x, y = round(self.x0), round(self.y0)
        width, height = max(1, round(self.x1) - x), max(1, round(self.y1) - y)
        return {"label": self.label, "x": x, "y": y, "width": width, "height": height}


Objects = int | Sequence[tuple[str, str]]


def draw_scene(
    rng: random.Random, width: int, height: int, objects: Objects
) -> tuple[Image.Image, list[Shape]]:
    """Draw `objects` (how many, or which (colour, shape) pairs) without overlap; returns RGB and what fitted.

    An object's size is 0.16 to 0.42 of the longer side. One that finds no free place is left out.
    """
    shapes = place_shapes(rng, width, height, objects)
    return paint(rng, width, height, shapes), shapes


def place_shapes(rng: random.Random, width: int, height: int, objects: Objects) -> list[Shape]:
    """Choose places without drawing anything."""
    wanted = [rng.choice(KINDS) for _ in range(objects)] if isinstance(objects, int) else list(objects)
    placed: list[Shape] = []
    for color, shape in wanted:
        for _ in range(12):
            candidate = _candidate(rng, width, height, color, shape)
            if candidate and not any(_overlap(candidate, other) for other in placed):
                placed.append(candidate)
                break
    return placed


def paint(rng: random.Random, width: int, height: int, shapes: Sequence[Shape]) -> Image.Image:
    """Paint shapes over a dark ground (0..110) with up to six distractor lines (0..130)."""
    wide, high = width * _OVERSAMPLING, height * _OVERSAMPLING
    image = Image.new("RGB", (wide, high), _dark(rng, 110))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.randint(0, 6)):
        ends = [(rng.randint(0, wide), rng.randint(0, high)) for _ in range(2)]
        pen.line(ends, fill=_dark(rng, 130), width=rng.randint(1, 4))
    for shape in shapes:
        _paint_shape(pen, shape, _jitter(rng, COLORS[shape.color]))
    return image.resize((width, height), Image.Resampling.BOX)


def _candidate(rng: random.Random, width: int, height: int, color: str, shape: str) -> Shape | None:
    size = rng.uniform(0.16, 0.42) * max(width, height)
    aspect = math.sqrt(rng.uniform(0.75, 1.33))
    w, h = size * aspect, size / aspect
    if w >= width - 2 or h >= height - 2:
        return None
    x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return Shape(color, shape, x, y, x + w, y + h)


def _overlap(a: Shape, b: Shape) -> bool:
    return min(a.x1, b.x1) > max(a.x0, b.x0) and min(a.y1, b.y1) > max(a.y0, b.y0)


def _dark(rng: random.Random, brightest: int) -> tuple[int, int, int]:
    return rng.randint(0, brightest), rng.randint(0, brightest), rng.randint(0, brightest)


def _jitter(rng: random.Random, color: tuple[int, int, int]) -> tuple[int, int, int]:
    r, g, b = (max(0, min(255, value + rng.randint(-25, 25))) for value in color)
    return r, g, b


def _paint_shape(pen: ImageDraw.ImageDraw, shape: Shape, fill: tuple[int, int, int]) -> None:
    left, top, right, bottom = (_OVERSAMPLING * v for v in (shape.x0, shape.y0, shape.x1, shape.y1))
    if shape.shape == "square":
        pen.rectangle((left, top, right, bottom), fill=fill)
    elif shape.shape == "circle":
        pen.ellipse((left, top, right, bottom), fill=fill)
    else:
        pen.polygon([(left, bottom), ((left + right) / 2, top), (right, bottom)], fill=fill)
