"""Add up what became of the labels of a job's samples, from the JSON that the ledger keeps of them.

A job may have a million samples: nothing is validated twice, and nothing grows with their number.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

from labelbus_contracts.labels import LabelSet, TimeRange, painted
from pydantic import TypeAdapter
from pydantic_core import from_json

Thing: TypeAlias = tuple[tuple[object, ...], str]
"""One label at its place."""

_RANGES: Final = TypeAdapter(tuple[TimeRange, ...])


@dataclass(frozen=True, slots=True)
class Said:
    """What a label set says of a sample. `scores` are of the labels that have one."""

    things: tuple[Thing, ...] = ()
    scores: tuple[tuple[str, float], ...] = ()
    disabled: bool = False
    mapped: bool = False

    @property
    def is_labeled(self) -> bool:
        """Tell whether anything is said at all."""
        return bool(self.things) or self.mapped


@dataclass(frozen=True, slots=True)
class Difference:
    """How many labels were added, removed, given another name at the same place, or kept."""

    added: int = 0
    removed: int = 0
    relabelled: int = 0
    kept: int = 0

    @property
    def size(self) -> int:
        """Return how many labels are not as before."""
        return self.added + self.removed + self.relabelled


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """One label over all samples of a job. `mean_score` is of the labels that have one."""

    label: str
    before: int
    after: int
    added: int
    removed: int
    samples: int
    mean_score: float | None


class LabelTally:
    """Adds up changes per label; holds one small entry per label, whatever the number of samples."""

    def __init__(self) -> None:
        self._labels: defaultdict[str, _Counts] = defaultdict(_Counts)
        self._total = [0, 0, 0, 0]
        self.samples_disabled = 0

    @property
    def total(self) -> Difference:
        """Return what became of all labels."""
        return Difference(*self._total)

    def add(self, before: Said, after: Said) -> int:
        """Count one sample; return how many of its labels are not as before."""
        labels = self._labels
        for _, label in before.things:
            labels[label].before += 1
        for _, label in after.things:
            labels[label].after += 1
        for label in {label for _, label in after.things}:
            labels[label].samples += 1
        for label, score in after.scores:
            labels[label].scored += 1
            labels[label].score += score
        added, removed = _apart(before.things, after.things)
        for _, label in added:
            labels[label].added += 1
        for _, label in removed:
            labels[label].removed += 1
        self.samples_disabled += after.disabled and not before.disabled
        one = _difference(added, removed, len(after.things))
        for place, number in enumerate((one.added, one.removed, one.relabelled, one.kept)):
            self._total[place] += number
        return one.size

    def rows(self) -> tuple[LabelSummary, ...]:
        """Return one row per label, the most frequent first."""
        found = [(label, one) for label, one in self._labels.items() if one.before or one.after]
        ordered = sorted(found, key=lambda item: (-item[1].after, item[0]))
        return tuple(one.summary(label) for label, one in ordered)


class _Counts:
    """What is counted of one label."""

    __slots__ = ("added", "after", "before", "removed", "samples", "score", "scored")

    def __init__(self) -> None:
        self.before = self.after = self.added = self.removed = self.samples = self.scored = 0
        self.score = 0.0

    def summary(self, label: str) -> LabelSummary:
        mean = self.score / self.scored if self.scored else None
        return LabelSummary(label, self.before, self.after, self.added, self.removed, self.samples, mean)


def difference(before: LabelSet, after: LabelSet) -> Difference:
    """Compare two label sets by content. Ranges are compared as Studio paints them."""
    old, new = said_in(before.model_dump()).things, said_in(after.model_dump()).things
    return _difference(*_apart(old, new), len(new))


@lru_cache(maxsize=1024)
def said(text: str) -> Said:
    """Return what a label set says, given as the JSON of it; many samples have equal ones."""
    return said_in(from_json(text))


def said_in(labels: Mapping[str, Any]) -> Said:
    """Return what a label set says, given as a document that was valid when it was stored."""
    things: list[Thing] = []
    scores: list[tuple[str, float]] = []
    for box in labels["boxes"]:
        label = box["label"]
        things.append((("box", box["x"], box["y"], box["width"], box["height"]), label))
        if box["score"] is not None:
            scores.append((label, box["score"]))
    if ranges := labels["ranges"]:
        valid = _RANGES.validate_python(ranges)
        things += ((("range", start, end), label) for start, end, label, _ in painted(valid))
        scores += ((one.label, one.score) for one in valid if one.score is not None)
    if one := labels["label"]:
        if one["label"]:
            things.append((("class",), one["label"]))
        if one["score"] is not None:
            scores.append((one["label"], one["score"]))
    return Said(tuple(things), tuple(scores), labels["disabled"], bool(labels["label_map"]))


def _apart(before: Sequence[Thing], after: Sequence[Thing]) -> tuple[Sequence[Thing], Sequence[Thing]]:
    """Return what was added and what was removed."""
    if before == after:
        return (), ()
    if set(before).isdisjoint(after):
        return after, before
    old, new = Counter(before), Counter(after)
    return tuple((new - old).elements()), tuple((old - new).elements())


def _difference(added: Sequence[Thing], removed: Sequence[Thing], after: int) -> Difference:
    """Tell the relabelled ones apart: removed and added at the same place."""
    again = 0
    if added and removed:
        gone, come = [place for place, _ in removed], [place for place, _ in added]
        if not set(gone).isdisjoint(come):
            again = (Counter(gone) & Counter(come)).total()
    return Difference(len(added) - again, len(removed) - again, again, after - len(added))
