"""What a detector is asked and answers. Corners are whole pixels of the upright image, not clipped to it."""

from dataclasses import dataclass, field
from typing import Protocol

from labelbus_labeling.images import Frame


@dataclass(frozen=True, slots=True)
class Query:
    """An encoded image and the phrases to search it for. Without a `threshold` the detector's own holds."""

    image: bytes
    phrases: tuple[str, ...]
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Detection:
    """One phrase found at one place."""

    phrase: str
    score: float
    xmin: int
    ymin: int
    xmax: int
    ymax: int


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found, best first, in the frame of the upright image. `notes` are for people."""

    detections: tuple[Detection, ...]
    frame: Frame
    notes: tuple[str, ...] = field(default=())


class Detector(Protocol):
    """Finds phrases in images, here or on another machine."""

    @property
    def model(self) -> str:
        """Name what answers."""

    async def open(self) -> None:
        """Load or connect. Raises `SettingsError`."""

    async def detect(self, query: Query) -> Detected:
        """Answer one query; batches are made inside. Raises `SampleRefused`, `RetryLater`."""

    async def close(self) -> None:
        """Free what `open` took."""
