"""What a model is asked: a text, a picture, and the form of the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

Detail = Literal["auto", "low", "high", "original"]


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture, its media type, and its size in pixels."""

    data: bytes
    media_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Question:
    """One call. Without a `schema` (a strict JSON schema) the answer is plain text.

    `max_output_tokens` bounds what is said, not what is thought before: see `Provider`.
    """

    text: str
    picture: Picture
    detail: Detail = "auto"
    system: str = ""
    schema: Mapping[str, object] | None = field(default=None, hash=False)
    max_output_tokens: int = 64
    reminder: str = ""

    def again(self, fault: str) -> Self:
        """Return the same question with what was wrong with the answer to it."""
        return replace(self, reminder=f"An earlier answer could not be used: {fault}. Answer as asked.")


def object_schema(properties: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """Return a strict JSON schema of one object, all of whose properties are required."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": dict(properties),
    }
