"""Show how a job goes on: live on a terminal, as plain lines elsewhere."""

import math
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import typer
from labelbus_ledger.reports import Progress
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_WINDOW_S: Final = 15.0
_LINE_EVERY_S: Final = 5.0
_STALL_S: Final = 10.0
_UNITS_S: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TERM: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


class Display(Protocol):
    """What a job's progress is told to. `steps` are the labelers' names, in order."""

    def begin(self, steps: Sequence[str]) -> None:
        """Start to show."""

    def update(self, progress: Progress, total: int | None) -> None:
        """Show the counts; `total` is None while samples still join."""

    def note(self, text: str) -> None:
        """Say something that stays."""

    def end(self) -> None:
        """Stop showing."""


class Rates:
    """Samples per second through every step, over the last 15 seconds."""

    def __init__(self, steps: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steps = steps
        self._seen: deque[tuple[float, tuple[int, ...]]] = deque()

    def add(self, progress: Progress) -> None:
        """Note the counts of now. A sample has passed a step when it is at a later one, or has ended."""
        later = progress.open_by_step.items()
        passed = [progress.done + sum(n for step, n in later if step > at) for at in range(self._steps)]
        now = self._clock()
        self._seen.append((now, (*passed, progress.done)))
        while now - self._seen[0][0] > _WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()

    def step(self, at: int) -> float:
        """Return the rate through step `at`."""
        return self._rate(at)

    @property
    def ended(self) -> float:
        """Return how many samples end per second."""
        return self._rate(-1)

    def passed(self, at: int) -> int:
        """Return how many samples have passed step `at`."""
        return self._seen[-1][1][at] if self._seen else 0

    def _rate(self, at: int) -> float:
        if len(self._seen) < 2:
            return 0.0
        (start, first), (stop, last) = self._seen[0], self._seen[-1]
        return max(0.0, (last[at] - first[at]) / (stop - start)) if stop > start else 0.0


class Stalls:
    """Notices that nothing is done for ten seconds, and for ten more, and so on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._done = -1
        self._since = clock()

    def stands_still(self, done: int) -> bool:
        """Look at the count of what is done; True at most once in ten seconds."""
        now = self._clock()
        if done == self._done and now - self._since < _STALL_S:
            return False
        is_still, self._done, self._since = done == self._done, done, now
        return is_still


class PlainDisplay:
    """One line every few seconds, for logs and pipes."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._rates = Rates(0, clock)
        self._last_at = -math.inf
        self._said = (-1, False)

    def begin(self, steps: Sequence[str]) -> None:
        """Start anew."""
        self._last_at, self._said = -math.inf, (-1, False)
        self._rates = Rates(len(steps), self._clock)

    def update(self, progress: Progress, total: int | None) -> None:
        """Write a line when five seconds have passed, or all is done."""
        self._rates.add(progress)
        complete = total is not None and progress.done >= total
        now, says = self._clock(), (progress.done, complete)
        if says == self._said or (now - self._last_at < _LINE_EVERY_S and not complete):
            return
        self._last_at, self._said = now, says
        self._write(_sentence(progress, total, self._rates.ended))

    def note(self, text: str) -> None:
        """Write a line."""
        self._write(text)

    def end(self) -> None:
        """Nothing is left open."""


class LiveDisplay:
    """A bar with counts, and one line per step with its rate, drawn over and over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._steps: Sequence[str] = ()
        self._rates = Rates(0)

    def begin(self, steps: Sequence[str]) -> None:
        """Take the lower lines of the terminal."""
        self._steps = steps
        self._rates = Rates(len(steps))
        self._live = Live(Text("Starting …", style="dim"), console=self._console, refresh_per_second=8)
        self._live.start()

    def update(self, progress: Progress, total: int | None) -> None:
        """Draw the counts."""
        self._rates.add(progress)
        if self._live is not None:
            self._live.update(self._drawn(progress, total))

    def note(self, text: str) -> None:
        """Print above the bar."""
        self._console.print(text, markup=False, highlight=False)

    def end(self) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _drawn(self, progress: Progress, total: int | None) -> Group:
        head = Table.grid(padding=(0, 2))
        whole = total if total else None
        head.add_row(
            ProgressBar(
                total=whole or 100, completed=progress.done if whole else 0, width=36, pulse=not whole
            ),
            Text(_counts(progress, total)),
            Text(_remaining(progress, total, self._rates.ended), style="dim"),
        )
        steps = Table.grid(padding=(0, 2))
        for at, name in enumerate(self._steps):
            done = self._rates.passed(at)
            steps.add_row(
                f"  {at + 1} {name}", f"{done} done", Text(f"{self._rates.step(at):.1f}/s", style="dim")
            )
        return Group(head, steps)


def _sentence(progress: Progress, total: int | None, rate: float) -> str:
    return f"{_counts(progress, total)}{', ' if rate else ''}{_remaining(progress, total, rate)}"


def _counts(progress: Progress, total: int | None) -> str:
    of = f"/{total}" if total is not None else f" (of {progress.total} so far)"
    failed = f", {progress.failed} failed" if progress.failed else ""
    held = f", {progress.held} held" if progress.held else ""
    return f"{progress.done}{of} done{failed}{held}"


def _remaining(progress: Progress, total: int | None, rate: float) -> str:
    if rate <= 0:
        return ""
    left = (total or progress.total) - progress.done
    return f"{rate:.1f}/s, {duration(left / rate)} left" if left > 0 else f"{rate:.1f}/s"


def new_display() -> Display:
    """Return a live display on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    if console.is_terminal and sys.stdout.isatty():
        return LiveDisplay(console)
    return PlainDisplay(lambda text: typer.echo(text, err=True))


def seconds_of(text: str) -> float | None:
    """Return the seconds of a text like `90d`, `12h` or `1d12h`; None where it is not one."""
    terms = _TERM.findall(text)
    if not terms or "".join(number + unit for number, unit in terms) != text.strip():
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in terms)


def duration(seconds: float) -> str:
    """Return a time span as people say it: `45 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
