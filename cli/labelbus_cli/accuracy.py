"""Compare boxes with the truth: precision and recall at an intersection over union of one half."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from labelbus_contracts.labels import BoundingBox
from labelbus_labeling.geometry import corners_of, overlap

LEAST_IOU: Final = 0.5


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many boxes there are, how many there should be, and how many of them meet."""

    found: int = 0
    wanted: int = 0
    right: int = 0

    def __add__(self, other: "Accuracy") -> "Accuracy":
        """Add up two."""
        return Accuracy(self.found + other.found, self.wanted + other.wanted, self.right + other.right)

    @property
    def precision(self) -> float:
        """Return the share of the boxes that are right; 1 for none."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Return the share of the truth that was found; 1 for none."""
        return self.right / self.wanted if self.wanted else 1.0

    def sentence(self) -> str:
        """Say it in one line."""
        return (
            f"Against the truth: precision {self.precision:.1%}, recall {self.recall:.1%} "
            f"({self.right} of {self.wanted} objects found, {self.found} boxes, IoU at least {LEAST_IOU})."
        )


def accuracy(found: Sequence[BoundingBox], wanted: Sequence[BoundingBox]) -> Accuracy:
    """Pair boxes of equal label, the best overlaps first, each once."""
    pairs = sorted(
        (
            (overlap(corners_of(one), corners_of(other)), at, to)
            for at, one in enumerate(found)
            for to, other in enumerate(wanted)
            if one.label == other.label
        ),
        reverse=True,
    )
    used_found: set[int] = set()
    used_wanted: set[int] = set()
    for shared, at, to in pairs:
        if shared >= LEAST_IOU and at not in used_found and to not in used_wanted:
            used_found.add(at)
            used_wanted.add(to)
    return Accuracy(len(found), len(wanted), len(used_wanted))
