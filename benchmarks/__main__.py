"""Run every benchmark with modest sizes and print its figures in one table; `make bench`.

    python -m benchmarks [NAME …]

Each benchmark runs in processes of its own, one after the other, and checks its results besides timing
them. Ratios hold from machine to machine; seconds do not. Exit code 1 when one of them failed.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A module of this package, and its arguments. Larger sizes are for its own command line."""

    name: str
    arguments: tuple[str, ...] = ()

    @property
    def command(self) -> list[str]:
        """Return what to type behind `python`."""
        return ["-m", f"benchmarks.{self.name}", *self.arguments]


_MODEST: Final[dict[str, tuple[str, ...]]] = {
    "detector.detector_vs_pipeline": ("--repeats", "1"),
    "block.block_vs_official": ("--samples", "500", "--official", "20"),
    "chain.chain_vs_official": ("--official", "40"),
    "dispatch.dispatcher_alone": ("--samples", "5000"),
    "dispatch.end_to_end": ("--samples", "10000", "50000"),
}
"""Arguments where a benchmark's own defaults take long."""


def benchmarks() -> list[Benchmark]:
    """Return every module of this package that is a program."""
    here = Path(__file__).parent
    programs = [one for one in sorted(here.glob("*/*.py")) if "__main__" in one.read_text(encoding="utf-8")]
    names = [f"{one.parent.name}.{one.stem}" for one in programs]
    return [Benchmark(name, _MODEST.get(name, ())) for name in names]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a benchmark printed."""

    benchmark: Benchmark
    figures: str
    seconds: float
    is_right: bool


def run(benchmark: Benchmark) -> Ran:
    """Run one; what it says on stderr is shown when it fails."""
    started = time.perf_counter()
    ended = subprocess.run([sys.executable, *benchmark.command], text=True, capture_output=True)
    said = ended.stdout.strip()
    if ended.returncode:
        said = "\n".join([said, *ended.stderr.strip().splitlines()[-5:]]).strip()
    return Ran(benchmark, said, time.perf_counter() - started, ended.returncode == 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run those that were named, or all; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    known = benchmarks()
    names = [one.name for one in known]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    wanted = parser.parse_args(argv).names
    if unknown := set(wanted) - set(names):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    console = Console(width=None if sys.stdout.isatty() else 140)
    table = Table(title="python -m benchmarks", title_justify="left", show_lines=True)
    table.add_column("command", ratio=1, overflow="fold")
    table.add_column("figures", ratio=3, overflow="fold")
    table.add_column("took", justify="right")
    failed = False
    for benchmark in known:
        if wanted and benchmark.name not in wanted:
            continue
        console.print(f"python {' '.join(benchmark.command)} …", style="dim", highlight=False)
        ran = run(benchmark)
        failed |= not ran.is_right
        figures = ran.figures if ran.is_right else f"FAILED\n{ran.figures}"
        table.add_row(f"python {' '.join(benchmark.command)}", figures, f"{ran.seconds:.0f} s")
    console.print(table, highlight=False, markup=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
