"""Sliding windows over a clip, and the time ranges that their labels make. Indexes count samples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from labelbus_contracts.labels import TimeRange
from labelbus_runtime.errors import SampleRefused

OverlapRule = Literal["last", "max-score"]
MAX_WINDOWS: Final = 5000
"""More would make label sets that no message can carry."""


@dataclass(frozen=True, slots=True)
class Window:
    """The samples `start` to `end`, `end` exclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The label of a window. `score` is None where nothing of interest was heard."""

    label: str
    score: float | None = None


def windows_of(count: int, frequency_hz: float, *, size_ms: int, stride_ms: int) -> tuple[Window, ...]:
    """Return distinct windows that cover a clip of `count` samples; the last one ends where the clip ends.

    Sizes are rounded up to whole samples, as in the official block. A clip shorter than a window is one
    window. Raises `SampleRefused`.
    """
    size = min(in_samples(size_ms, frequency_hz), count)
    stride = in_samples(stride_ms, frequency_hz)
    number = (count - size) // stride + 2
    if number > MAX_WINDOWS:
        raise SampleRefused(
            f"The clip has {number} windows, more than {MAX_WINDOWS}. Raise the stride, or split the clip.",
            code="audio-too-long",
        )
    found = [Window(start, start + size) for start in range(0, count - size + 1, stride)]
    last = Window(count - size, count)
    return tuple(found if found[-1] == last else [*found, last])


def in_samples(milliseconds: int, frequency_hz: float) -> int:
    """Return a duration in samples, rounded up, at least 1."""
    return max(1, math.ceil(milliseconds * (frequency_hz / 1000)))


def ranges_of(
    windows: Sequence[Window], verdicts: Sequence[Verdict], *, rule: OverlapRule, source: str
) -> tuple[TimeRange, ...]:
    """Return ranges, both ends inclusive, without gaps or overlaps; neighbours of equal label are one.

    Where windows overlap the last one counts, or with `max-score` the one of the highest score. A range
    has the lowest score of its windows, so that doubt is seen.
    """
    edges = np.unique([edge for one in windows for edge in (one.start, one.end)])
    owner = np.zeros(len(edges) - 1, dtype=np.int64)
    for number in _order(verdicts, rule):
        start, end = np.searchsorted(edges, (windows[number].start, windows[number].end))
        owner[start:end] = number
    ranges: list[TimeRange] = []
    for piece, number in enumerate(owner.tolist()):
        one = TimeRange(
            start_index=int(edges[piece]),
            end_index=int(edges[piece + 1]) - 1,
            label=verdicts[number].label,
            score=verdicts[number].score,
            source=source,
        )
        if ranges and ranges[-1].label == one.label:
            one = _joined(ranges.pop(), one)
        ranges.append(one)
    return tuple(ranges)


def _order(verdicts: Sequence[Verdict], rule: OverlapRule) -> list[int]:
    """Return the windows in the order in which they are painted: later ones cover earlier ones."""
    numbers = list(range(len(verdicts)))
    if rule == "max-score":
        numbers.sort(key=lambda number: _strength(verdicts[number]))
    return numbers


def _strength(verdict: Verdict) -> float:
    return -1.0 if verdict.score is None else verdict.score


def _joined(one: TimeRange, other: TimeRange) -> TimeRange:
    scores = [score for score in (one.score, other.score) if score is not None]
    changes = {"end_index": other.end_index, "score": min(scores, default=None)}
    return one.model_copy(update=changes)
