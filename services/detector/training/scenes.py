"""Pictures of coloured shapes, and the phrases that name them."""

import math
import random
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw

COLORS: Final = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (50, 80, 230),
    "yellow": (235, 210, 50),
    "purple": (150, 50, 190),
    "white": (245, 245, 245),
}
SHAPES: Final = ("square", "circle", "triangle")
PAIRS: Final = tuple((color, shape) for color in COLORS for shape in SHAPES)
HELD_OUT: Final = (("yellow", "triangle"), ("purple", "circle"))
"""Never drawn in training: finding them shows that colour and shape are understood apart."""
TRAINED: Final = tuple(pair for pair in PAIRS if pair not in HELD_OUT)
NEVER_DRAWN: Final = (
    *("dog", "cat", "car", "person", "bottle", "tree"),
    *("cup", "house", "bird", "phone", "chair", "bag"),
)
TEMPLATES: Final = ("{}", "a {}", "a photo of a {}")
WORDS: Final = (*COLORS, *SHAPES, "a", "photo", "of", "shape", *NEVER_DRAWN)
_FINER: Final = 2  # drawn larger and averaged down, for soft edges


@dataclass(frozen=True, slots=True)
class Thing:
    """A shape in a picture; corners in pixels."""

    color: str
    shape: str
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def pair(self) -> tuple[str, str]:
        """Return colour and shape."""
        return (self.color, self.shape)


def draw(
    rng: random.Random, count: int, width: int, height: int, pairs: tuple[tuple[str, str], ...]
) -> tuple[Image.Image, list[Thing]]:
    """Draw up to `count` shapes that do not overlap, on a random ground with stray lines."""
    ground = _color(rng, (55, 55, 55), 55)
    image = Image.new("RGB", (width * _FINER, height * _FINER), ground)
    canvas = ImageDraw.Draw(image)
    for _ in range(rng.randint(0, 6)):
        ends = [rng.randint(0, side * _FINER) for side in (width, height, width, height)]
        canvas.line(ends, fill=_color(rng, (65, 65, 65), 65), width=rng.randint(1, 4))
    things: list[Thing] = []
    for _ in range(count * 8):
        thing = _placed(rng, width, height, pairs)
        if len(things) < count and thing and not any(_overlap(thing, other) for other in things):
            _paint(canvas, thing, _color(rng, COLORS[thing.color], 25))
            things.append(thing)
    return image.resize((width, height), Image.Resampling.BOX), things


def _placed(rng: random.Random, width: int, height: int, pairs: tuple[tuple[str, str], ...]) -> Thing | None:
    side = rng.uniform(0.16, 0.42) * max(width, height)
    ratio = math.sqrt(rng.uniform(0.75, 1.33))
    box_width, box_height = side * ratio, side / ratio
    if box_width >= width - 2 or box_height >= height - 2:
        return None
    x, y = rng.uniform(0, width - box_width), rng.uniform(0, height - box_height)
    return Thing(*rng.choice(pairs), x, y, x + box_width, y + box_height)


def _overlap(one: Thing, other: Thing) -> bool:
    across = min(one.x1, other.x1) > max(one.x0, other.x0)
    return across and min(one.y1, other.y1) > max(one.y0, other.y0)


def _paint(canvas: ImageDraw.ImageDraw, thing: Thing, color: tuple[int, int, int]) -> None:
    x0, y0, x1, y1 = (edge * _FINER for edge in (thing.x0, thing.y0, thing.x1, thing.y1))
    if thing.shape == "square":
        canvas.rectangle([x0, y0, x1, y1], fill=color)
    elif thing.shape == "circle":
        canvas.ellipse([x0, y0, x1, y1], fill=color)
    else:
        canvas.polygon([(x0, y1), ((x0 + x1) / 2, y0), (x1, y1)], fill=color)


def _color(rng: random.Random, middle: tuple[int, int, int], spread: int) -> tuple[int, int, int]:
    red, green, blue = (max(0, min(255, value + rng.randint(-spread, spread))) for value in middle)
    return (red, green, blue)
