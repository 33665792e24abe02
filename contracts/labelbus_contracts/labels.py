"""Labels: what is said of a sample. Boxes are in pixels of `imageDimensions`, ranges in sample indexes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from labelbus_contracts.model import Frozen

Score = Annotated[float, Field(ge=0, le=1)]
SampleKind = Literal["image", "audio", "video", "table", "other"]
LabelingMethod = Literal["single_label", "object_detection", "label_map", "unknown"]


class Vote(Frozen):
    """What one branch of a merged step said. `source` names the branch (`owl-vit#1`)."""

    source: str
    label: str
    score: Score | None = None


Votes = Annotated[tuple[Vote, ...], Field(exclude_if=lambda votes: not votes)]


class ClassLabel(Frozen):
    """One label for the whole sample. An empty text means unlabeled in Studio."""

    label: str
    score: Score | None = None
    source: str | None = None
    votes: Votes = ()


class BoundingBox(Frozen):
    """A box in whole pixels: origin top left, `x`, `y` its upper left corner.

    A box that Studio holds may lie outside the image; labelers clip theirs. `source` names the step that
    made the box (`owl-vit#0`) and is absent for boxes that were there before; `votes` are the branches'
    that a merged box was made of.
    """

    label: str
    x: int
    y: int
    width: Annotated[int, Field(ge=0)]
    height: Annotated[int, Field(ge=0)]
    score: Score | None = None
    source: str | None = None
    votes: Votes = ()

    @property
    def content(self) -> tuple[str, int, int, int, int]:
        """Return what Studio stores of a box: label and four integers."""
        return (self.label, self.x, self.y, self.width, self.height)


class TimeRange(Frozen):
    """A label for the samples `start_index` to `end_index`, both inclusive."""

    start_index: Annotated[int, Field(ge=0)]
    end_index: Annotated[int, Field(ge=0)]
    label: str
    label_map: dict[str, str] | None = None
    score: Score | None = None
    source: str | None = None
    votes: Votes = ()

    @property
    def content(self) -> tuple[int, int, str, tuple[tuple[str, str], ...]]:
        """Return what Studio stores of a range."""
        return (self.start_index, self.end_index, self.label, tuple(sorted((self.label_map or {}).items())))


class LabelSet(Frozen):
    """All that is said of one sample: class label, boxes, ranges, disabled flag and metadata.

    `label_map` is Studio's key-value labels of the whole sample; labelers hand it on untouched.
    """

    label: ClassLabel | None = None
    boxes: tuple[BoundingBox, ...] = ()
    ranges: tuple[TimeRange, ...] = ()
    label_map: dict[str, str] | None = None
    disabled: bool = False
    metadata: dict[str, str] = Field(default_factory=dict)


class SampleFacts(Frozen):
    """What a labeler needs to know of a sample besides its bytes.

    `width` and `height` are in pixels, `frequency_hz` and `values_count` describe time series.
    """

    filename: str = ""
    kind: SampleKind = "other"
    category: str = ""
    width: int | None = None
    height: int | None = None
    frequency_hz: float | None = None
    values_count: int | None = None
    content_hash: str | None = None
    labeling_method: LabelingMethod = "unknown"


class Base(Frozen):
    """The labels as they were read before anything was computed; conflicts are differences from it."""

    sample: SampleFacts
    labels: LabelSet
    read_at: AwareDatetime


LabelPart = Literal["label", "boxes", "ranges", "label_map", "disabled", "metadata"]


def changed_parts(before: LabelSet, after: LabelSet) -> frozenset[LabelPart]:
    """Return the parts in which two label sets differ by content: order, score and source do not count."""
    changed: set[LabelPart] = set()
    if _text(before.label) != _text(after.label):
        changed.add("label")
    if not _same_boxes(before.boxes, after.boxes):
        changed.add("boxes")
    if before.ranges is not after.ranges and painted(before.ranges) != painted(after.ranges):
        changed.add("ranges")
    if (before.label_map or {}) != (after.label_map or {}):
        changed.add("label_map")
    if before.disabled != after.disabled:
        changed.add("disabled")
    if before.metadata != after.metadata:
        changed.add("metadata")
    return frozenset(changed)


def same_content(one: LabelSet, other: LabelSet) -> bool:
    """Tell whether Studio would hold the same for both."""
    return not changed_parts(one, other)


Painted = tuple[int, int, str, tuple[tuple[str, str], ...]]


def painted(ranges: tuple[TimeRange, ...]) -> tuple[Painted, ...]:
    """Return ranges as Studio paints them: later ones win, neighbours of equal label are merged.

    Answers (start, end inclusive, label, label map) sorted by start, without overlaps; a range that ends
    before it begins paints nothing. Takes O(n log n).
    """
    contents = [one.content for one in ranges]
    spans = [(start, end) for start, end, *_ in contents]
    cuts = sorted({edge for start, end in spans for edge in (start, end + 1)})
    result: list[Painted] = []
    for (start, stop), top in zip(pairwise(cuts), tops(spans, cuts), strict=True):
        if top is not None:
            _, _, label, label_map = contents[top]
            _paint(result, (start, stop - 1, label, label_map))
    return tuple(result)


def tops(spans: Sequence[tuple[int, int]], cuts: Sequence[int]) -> Iterator[int | None]:
    """Yield which of the spans (start, end inclusive) Studio shows between each cut and the next: the last.

    Takes O(n log n).
    """
    opens = sorted((start, nr) for nr, (start, end) in enumerate(spans) if start <= end)
    opens.reverse()
    on_top: list[int] = []  # a heap of negated places in the list: the last range first
    for start in cuts[:-1]:
        while opens and opens[-1][0] <= start:
            heappush(on_top, -opens.pop()[1])
        while on_top and spans[-on_top[0]][1] < start:
            heappop(on_top)
        yield -on_top[0] if on_top else None


def _paint(result: list[Painted], piece: Painted) -> None:
    start, end, *meaning = piece
    if result and result[-1][1] == start - 1 and [*result[-1][2:]] == meaning:
        result[-1] = (result[-1][0], end, *result[-1][2:])
    else:
        result.append(piece)


def _same_boxes(one: tuple[BoundingBox, ...], other: tuple[BoundingBox, ...]) -> bool:
    if one is other:
        return True
    if len(one) != len(other):
        return False
    contents, others = [box.content for box in one], [box.content for box in other]
    return contents == others or Counter(contents) == Counter(others)


def _text(label: ClassLabel | None) -> str:
    return label.label if label else ""
