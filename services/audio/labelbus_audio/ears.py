"""What an engine is asked and answers."""

from dataclasses import dataclass
from typing import Final, Protocol

from labelbus_audio.clips import Clip
from labelbus_audio.windows import Window

FEWEST: Final = 5
"""Labels that Hugging Face answers when nothing is said."""
MOST: Final = 527
UNANSWERED: Final = "engine-timeout"
STRANGE: Final = "engine-answer"
BILLED: Final = frozenset({UNANSWERED, STRANGE})
"""Codes of faults after which a window may have been billed all the same."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One label of AudioSet and its probability."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Query:
    """A clip and the windows to listen to, in samples of the clip; shorter ones are padded to `length`.

    `top` is how many labels are wanted per window.
    """

    clip: Clip
    windows: tuple[Window, ...]
    length: int
    top: int = FEWEST


Answer = tuple[Heard, ...]
"""The labels of one window, best first."""


class Ears(Protocol):
    """Listens to windows, here or elsewhere."""

    @property
    def model(self) -> str:
        """Name what answers."""

    @property
    def place(self) -> str:
        """Say for people what answers, and where."""

    @property
    def is_elsewhere(self) -> bool:
        """Tell whether calls may cost money."""

    async def open(self) -> None:
        """Load or connect. Raises `SettingsError`."""

    async def hear(self, query: Query) -> list[Answer | Exception]:
        """Answer each window, or say why not: `SampleRefused`, `RetryLater`."""

    async def close(self) -> None:
        """Free what `open` took."""


def top_for(min_confidence: float) -> int:
    """Return how many labels of a window can reach a probability: they add up to 1.

    At 1/6 and above the five that come unasked are enough.
    """
    if min_confidence * (FEWEST + 1) >= 1:
        return FEWEST
    return MOST if min_confidence * MOST <= 1 else int(1 / min_confidence)
