"""How progress is counted and said."""

import pytest
from labelbus_cli.progress import PlainDisplay, Rates, Stalls, duration, seconds_of
from labelbus_ledger.reports import Progress


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90d", 90 * 86_400),
        ("1d12h", 129_600),
        ("1.5m", 90),
        ("0s", 0),
        ("soon", None),
        ("", None),
    ],
)
def test_time_spans_are_read(text: str, seconds: float | None) -> None:
    """A span is numbers with units; another text is none."""
    assert seconds_of(text) == seconds


class Clock:
    """Goes only when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rates_are_of_the_last_seconds() -> None:
    """A sample counts for a step once it is at a later one or has ended."""
    clock = Clock()
    rates = Rates(2, clock)
    rates.add(Progress({"pending": 10}, {0: 10}))
    clock.now += 2
    rates.add(Progress({"pending": 4, "labeling": 4, "proposed": 2}, {0: 4, 1: 4}))
    assert (rates.step(0), rates.step(1), rates.ended) == (3.0, 1.0, 1.0)
    clock.now += 60
    rates.add(Progress({"pending": 4, "labeling": 4, "proposed": 2}, {0: 4, 1: 4}))
    clock.now += 1
    rates.add(Progress({"pending": 4, "labeling": 4, "proposed": 2}, {0: 4, 1: 4}))
    assert rates.ended == 0.0


def test_plain_lines_come_every_few_seconds_and_at_the_end() -> None:
    """A log is not flooded, and its last line is complete."""
    clock, lines = Clock(), list[str]()
    display = PlainDisplay(lines.append, clock)
    display.begin(["owl-vit"])
    for done in range(11):
        display.update(Progress({"pending": 10 - done, "proposed": done}, {0: 10 - done}), 10)
        clock.now += 1
    assert [line.split(" done")[0] for line in lines] == ["0/10", "5/10", "10/10"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7300, "2 h 1 min")]
)
def test_durations_are_said_as_people_do(seconds: float, text: str) -> None:
    """Two units at most."""
    assert duration(seconds) == text


def test_a_standstill_is_noticed_once_in_ten_seconds() -> None:
    """Progress begins the wait anew."""
    clock = Clock()
    stalls = Stalls(clock)
    seen = []
    for done, seconds in [(0, 0), (0, 9), (0, 1), (0, 5), (1, 5), (1, 9), (1, 1)]:
        clock.now += seconds
        seen.append(stalls.stands_still(done))
    assert seen == [False, False, True, False, False, False, True]
