"""The official block's algorithm, written anew from its description, against the labeler: equal in Studio.

Studio paints structured labels in list order: a later one covers an earlier one, both ends inclusive, and
neighbours of equal label are one. Nothing of ours is used on the official side.
"""

import asyncio
import math
import random
from collections.abc import Callable, Mapping
from itertools import groupby

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labelbus_audio.clips import Values, wav_of
from labelbus_audio.ears import Answer, Heard, Query
from labelbus_audio.labeler import AudioLabeler
from labelbus_labeling.labeler import Labeled, LabelTask

SCORES = (0.05, 0.2, 0.5, 0.9)
NAMES = ("Speech", "Music", "Bark", "Rain")
Hear = Callable[[Values], list[tuple[str, float]]]


def hearing(seed: int) -> Hear:
    """Return a model that hears something of its own in every sound."""

    def hear(values: Values) -> list[tuple[str, float]]:
        rng = random.Random(f"{seed}/{values.tobytes().hex()}")
        found = [(name, rng.choice(SCORES)) for name in rng.sample(NAMES, 3)]
        return sorted(found, key=lambda row: -row[1])

    return hear


class SeededEars:
    """An engine around such a model."""

    model = place = "seeded"
    is_elsewhere = True

    def __init__(self, hear: Hear) -> None:
        self._hear = hear

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def hear(self, query: Query) -> list[Answer | Exception]:
        sounds = [query.clip.cut(window, at_least=query.length) for window in query.windows]
        return [tuple(Heard(name, score) for name, score in self._hear(sound)) for sound in sounds]


def official(
    values: Values,
    rate: int,
    size_ms: int,
    stride_ms: int,
    hear: Hear,
    wanted: Mapping[str, str],
    least: float,
) -> list[tuple[int, int, str]]:
    """Return (startIndex, endIndex, label) in the order in which the official block writes them."""
    count = len(values)
    size, stride = math.ceil(size_ms * rate / 1000), math.ceil(stride_ms * rate / 1000)
    windows = []
    start = 0
    while start <= count - size:
        windows.append((start, start + size))
        start += stride
    windows.append((count - size, count))
    rows = []
    for start, end in windows:
        label = "other"
        for name, score in hear(values[start:end]):
            if name.lower() in wanted and score >= least:
                label = wanted[name.lower()]
                break
        rows.append((start, min(end, count - 1), label))
    return rows


def painted(count: int, rows: list[tuple[int, int, str]]) -> list[tuple[str, int]]:
    """Return what Studio shows: labels with their lengths, one after another. Gaps are errors."""
    canvas: list[str | None] = [None] * count
    for start, end, label in rows:
        assert 0 <= start <= end < count
        for index in range(start, end + 1):
            canvas[index] = label
    assert None not in canvas
    return [(str(label), len(list(run))) for label, run in groupby(canvas)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    rate=st.sampled_from([100, 441, 800, 1000]),
    size_ms=st.integers(1, 700),
    share=st.floats(0.02, 1),
    more=st.integers(0, 900),
    least=st.sampled_from([0.0, 0.2, 0.5, 0.7]),
    seed=st.integers(0, 10**6),
)
def test_studio_shows_the_same(
    task: Callable[..., LabelTask],
    rate: int,
    size_ms: int,
    share: float,
    more: int,
    least: float,
    seed: int,
) -> None:
    """For every clip at least one window long, every window, stride, minimum and model."""
    stride_ms = max(1, int(size_ms * share))
    count = math.ceil(size_ms * rate / 1000) + more
    hear, wanted = hearing(seed), {"speech": "talk", "music": "music", "bark": "talk"}
    whole = np.random.default_rng(seed).integers(-32768, 32767, count)
    values = (whole / 32768).astype(np.float32)  # as a 16-bit WAV keeps them
    given_task = task(
        wav_of(values, rate),
        audioset_labels="Speech (Talk)\nmusic\nbark (talk)",
        win_size_ms=size_ms,
        win_stride_ms=stride_ms,
        min_confidence=least,
    )
    (labeled,) = asyncio.run(AudioLabeler(SeededEars(hear)).label([given_task]))
    assert isinstance(labeled, Labeled), labeled
    ours = [(one.start_index, one.end_index, one.label) for one in labeled.draft.ranges]
    theirs = official(values, rate, size_ms, stride_ms, hear, wanted, least)
    assert painted(count, ours) == painted(count, theirs)
    assert sum(end - start + 1 for start, end, _ in ours) == count  # and they touch, without overlaps
