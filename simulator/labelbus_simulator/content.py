"""The bytes behind a sample: made when first read, kept in a small cache, equal for equal recipes."""

import hashlib
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labelbus_simulator import clips
from labelbus_simulator.clips import Segment
from labelbus_simulator.shapes import Objects, Shape, paint, place_shapes

Kind = Literal["image", "audio", "video", "table"]
Orientation = Literal[1, 3, 6, 8]
_TURNS = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


class Content(Protocol):
    """What a sample is made of. Equal `digest`s mean equal bytes."""

    @property
    def kind(self) -> Kind: ...
    @property
    def media_type(self) -> str: ...
    @property
    def digest(self) -> str: ...
    def data(self) -> bytes: ...


@dataclass(frozen=True)
class Scene:
    """A picture of shapes. `orientation` is the EXIF tag; the stored pixels are turned to match it."""

    seed: int
    width: int
    height: int
    objects: int | tuple[tuple[str, str], ...]
    format: Literal["jpeg", "png"] = "jpeg"
    orientation: Orientation = 1
    kind: Kind = "image"

    @property
    def media_type(self) -> str:
        return f"image/{self.format}"

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()

    @cached_property
    def shapes(self) -> list[Shape]:
        """The truth, in pixels of the upright picture."""
        return place_shapes(random.Random(self.seed), self.width, self.height, self.objects)  # noqa: S311

    @property
    def stored_size(self) -> tuple[int, int]:
        turned = self.orientation in (6, 8)
        return (self.height, self.width) if turned else (self.width, self.height)

    def data(self) -> bytes:
        return _encode_scene(self)


@dataclass(frozen=True)
class Clip:
    """A 16-bit WAV of `segments`."""

    seed: int
    rate: int
    length: int
    pieces: int = 1
    channels: int = 1
    kind: Kind = "audio"
    media_type: str = "audio/wav"

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()

    @cached_property
    def segments(self) -> list[Segment]:
        """The truth, in sample indexes."""
        return clips.place_segments(random.Random(self.seed), self.length, self.pieces)  # noqa: S311

    def values(self) -> NDArray[np.int16]:
        return _render_clip(self)

    def data(self) -> bytes:
        return clips.wav(self.values(), self.rate)


@dataclass(frozen=True)
class Stored:
    """Bytes as they were given: uploads, files of a folder, damaged data."""

    content: bytes
    kind: Kind
    media_type: str

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def data(self) -> bytes:
        return self.content


def scene(seed: int, size: tuple[int, int], objects: Objects, **more: object) -> Scene:
    """A Scene whose recipe is hashable."""
    fixed = objects if isinstance(objects, int) else tuple(objects)
    return Scene(seed, size[0], size[1], fixed, **more)  # type: ignore[arg-type]  # keywords of Scene


def pick(rng: random.Random, choices: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """One of the sizes."""
    return choices[rng.randrange(len(choices))]


@lru_cache(maxsize=4096)
def _encode_scene(recipe: Scene) -> bytes:
    rng = random.Random(recipe.seed + 1)  # noqa: S311
    image = paint(rng, recipe.width, recipe.height, recipe.shapes)
    exif = Image.Exif()
    if recipe.orientation != 1:
        image = image.transpose(_TURNS[recipe.orientation])
        exif[0x0112] = recipe.orientation
    out = io.BytesIO()
    image.save(out, recipe.format, exif=exif, **({"quality": 90} if recipe.format == "jpeg" else {}))
    return out.getvalue()


@lru_cache(maxsize=64)
def _render_clip(recipe: Clip) -> NDArray[np.int16]:
    return clips.render(recipe.seed, recipe.rate, recipe.channels, recipe.segments)
