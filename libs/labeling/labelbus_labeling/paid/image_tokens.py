"""Tokens that OpenAI bills for an image, by its published rules. How unknown models count is guessed.

Tile models pay a base and so much for each 512-pixel tile, patch models for each 32-pixel patch.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Detail: TypeAlias = Literal["low", "high", "auto", "original"]

_PATCH_PX: Final = 32
_TILE_PX: Final = 512
_ROUNDING: Final = 1e-9  # keeps 77.00000000000001 from becoming 78


@dataclass(frozen=True, slots=True)
class _Tiles:
    base: int
    tile: int

    def count(self, width: int, height: int, detail: Detail) -> int:
        """Fit the image into 2048 pixels, then its short side into 768, and count its tiles."""
        if detail == "low":
            return self.base
        fitted = min(1.0, 2048 / max(width, height))
        scale = fitted * min(1.0, 768 / (min(width, height) * fitted))
        across, down = (math.ceil(side * scale / _TILE_PX - _ROUNDING) for side in (width, height))
        return self.base + self.tile * across * down


@dataclass(frozen=True, slots=True)
class _Patches:
    """`most` is how many patches an image may have at detail high, and at auto or original."""

    factor: float
    most: int
    most_original: int | None

    def count(self, width: int, height: int, detail: Detail) -> int:
        """Count the patches of the image, shrunk to whole patches where there are too many."""
        most = self.most if detail in ("high", "low") else self.most_original
        return math.ceil(_patches(width, height, most) * self.factor - _ROUNDING)


_RULES: Final[dict[str, _Tiles | _Patches]] = {
    "gpt-4o-mini": _Tiles(2833, 5667),
    "gpt-4o": _Tiles(85, 170),
    "gpt-4.1-mini": _Patches(1.62, 1536, 1536),
    "gpt-4.1-nano": _Patches(2.46, 1536, 1536),
    "gpt-4.1": _Tiles(85, 170),
    "gpt-5-mini": _Patches(1.62, 1536, 1536),
    "gpt-5-nano": _Patches(2.46, 1536, 1536),
    "gpt-5.5": _Patches(1.2, 2500, 10_000),
    "gpt-5": _Tiles(70, 140),
    "gpt-6": _Patches(1.2, 2500, None),
    "o4-mini": _Patches(1.72, 1536, 1536),
    "o1": _Tiles(75, 150),
    "o3": _Tiles(75, 150),
}
_UNKNOWN: Final = _Patches(2.46, 10_000, None)
_SMALL_PATCHES: Final = _Patches(4.25, 10_000, None)  # 16-pixel patches, and a mark at the end of each row
_LARGEST_FLAT: Final = 3400  # open models that see every image as so many tokens, or so many tiles


def image_tokens(model: str, width: int, height: int, detail: Detail = "auto") -> int:
    """Return the input tokens of one image of so many pixels; "auto" counts as the model takes it."""
    if width < 1 or height < 1:
        raise ValueError(f"An image of {width} * {height} pixels has no tokens. Give its true size.")
    return _rule(model).count(width, height, detail)


def most_image_tokens(model: str, width: int, height: int, detail: Detail = "auto") -> int:
    """Return the most tokens of one image: of a model that no rule is known for, by the dearest rule."""
    if _family(model) is not None:
        return image_tokens(model, width, height, detail)
    rules = (*_RULES.values(), _SMALL_PATCHES)
    return max(_LARGEST_FLAT, *(rule.count(width, height, detail) for rule in rules))


def _rule(model: str) -> _Tiles | _Patches:
    family = _family(model)
    return _UNKNOWN if family is None else _RULES[family]


def _family(model: str) -> str | None:
    """Find the rule of a model or of the family that its name begins with, the longest first.

    `gpt-5.6` is no `gpt-5`: a new version may count in another way.
    """
    name = model.lower().rsplit("/", 1)[-1]
    families = [family for family in _RULES if name == family or name.startswith(f"{family}-")]
    return max(families, key=len, default=None)


def _patches(width: int, height: int, most: int | None) -> int:
    count = math.ceil(width / _PATCH_PX) * math.ceil(height / _PATCH_PX)
    if most is None or count <= most:
        return count
    shrunk = math.sqrt(most * _PATCH_PX**2 / (width * height))
    across, down = width * shrunk / _PATCH_PX, height * shrunk / _PATCH_PX
    whole = min(math.floor(across) / across, math.floor(down) / down)
    return math.ceil(across * whole - _ROUNDING) * math.ceil(down * whole - _ROUNDING)
