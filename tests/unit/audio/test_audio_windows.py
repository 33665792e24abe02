"""Windows and ranges, against the official algorithm painted as Studio paints."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelbus_audio.windows import Verdict, Window, ranges_of, windows_of
from labelbus_contracts.labels import TimeRange, painted
from labelbus_runtime.errors import SampleRefused


def official_windows(count: int, frequency: float, size_ms: int, stride_ms: int) -> list[tuple[int, int]]:
    """Return the official block's windows, the repeated last one included."""
    size, stride = (math.ceil(float(ms) * (frequency / 1000)) for ms in (size_ms, stride_ms))
    found = [(start, start + size) for start in range(0, count - size + 1, stride)]
    return [*found, (count - size, count)]


@pytest.mark.parametrize(
    ("count", "size_ms", "stride_ms", "wanted"),
    [
        (16000, 1000, 1000, [(0, 16000)]),
        (32000, 1000, 1000, [(0, 16000), (16000, 32000)]),
        (40000, 1000, 1000, [(0, 16000), (16000, 32000), (24000, 40000)]),
        (48000, 2000, 1000, [(0, 32000), (16000, 48000)]),
        (12000, 1000, 1000, [(0, 12000)]),
        (1, 1000, 1, [(0, 1)]),
    ],
)
def test_no_window_comes_twice(
    count: int, size_ms: int, stride_ms: int, wanted: list[tuple[int, int]]
) -> None:
    """The last window ends with the clip; a short clip is one window."""
    found = windows_of(count, 16000, size_ms=size_ms, stride_ms=stride_ms)
    assert [(one.start, one.end) for one in found] == wanted


def test_too_many_windows_are_refused() -> None:
    """An hour at 1 ms strides would make a label set that no message can carry."""
    with pytest.raises(SampleRefused, match="Raise the stride"):
        windows_of(3600 * 16000, 16000, size_ms=1000, stride_ms=1)


@given(
    frequency=st.sampled_from([8000.0, 11025.0, 16000.0, 44100.0]),
    size_ms=st.integers(1, 300),
    share=st.floats(0.05, 1),
    extra=st.integers(0, 9000),
    heard=st.lists(st.sampled_from("abc"), min_size=1, max_size=400),
)
def test_the_result_is_the_official_one_as_studio_paints_it(
    frequency: float, size_ms: int, share: float, extra: int, heard: list[str]
) -> None:
    """Same labels at every index, in ranges that touch, do not overlap and cover the clip."""
    stride_ms = max(1, int(size_ms * share))
    count = math.ceil(size_ms * frequency / 1000) + 1 + extra
    theirs = official_windows(count, frequency, size_ms, stride_ms)
    label = {window: heard[place % len(heard)] for place, window in enumerate(dict.fromkeys(theirs))}
    official = tuple(
        TimeRange(start_index=start, end_index=min(end, count - 1), label=label[start, end])
        for start, end in theirs
    )
    windows = windows_of(count, frequency, size_ms=size_ms, stride_ms=stride_ms)
    verdicts = [Verdict(label[one.start, one.end], 0.5) for one in windows]
    ours = ranges_of(windows, verdicts, rule="last", source="audio#0")
    assert painted(ours) == painted(official)
    assert ours[0].start_index == 0
    assert ours[-1].end_index == count - 1
    assert all(b.start_index == a.end_index + 1 for a, b in pairwise(ours))


def test_the_highest_score_wins_where_it_is_asked_for(spans: Callable[..., object]) -> None:
    """With max-score a window keeps what it heard best; silence about interest loses to any label."""
    windows = (Window(0, 20), Window(10, 30), Window(20, 40))
    verdicts = [Verdict("a", 0.9), Verdict("b", 0.4), Verdict("other")]
    ranges = ranges_of(windows, verdicts, rule="max-score", source="audio#0")
    assert spans(ranges) == [(0, 19, "a"), (20, 29, "b"), (30, 39, "other")]
    assert [one.score for one in ranges] == [0.9, 0.4, None]
    last = ranges_of(windows, verdicts, rule="last", source="audio#0")
    assert spans(last) == [(0, 9, "a"), (10, 19, "b"), (20, 39, "other")]


def test_neighbours_of_one_label_are_one_range() -> None:
    """The range has the lowest score of its windows."""
    windows = (Window(0, 10), Window(10, 20))
    (one,) = ranges_of(windows, [Verdict("a", 0.9), Verdict("a", 0.3)], rule="last", source="audio#0")
    assert (one.start_index, one.end_index, one.score, one.source) == (0, 19, 0.3, "audio#0")
