"""How much of a key's limits is used, and how many calls are rejected: ours against repeating as SDKs do.

    python -m benchmarks.money.rate_limits

A simulation on a clock of its own: 4 workers, 500 requests and 60,000 tokens a minute, 6,000 calls; medians
of five seeds. The same on a real ledger is `tests/unit/labeling/test_paid_processes.py`.
"""

import statistics
from collections.abc import Callable
from dataclasses import replace

from labelbus_labeling.paid.simulation import Result, Setting, naive, shared

_SEEDS = range(5)


def main() -> None:
    """Print one row for each way of calling."""
    print(f"{'calls at once, per worker':32}{'used':>8}{'rejected':>10}{'given up':>10}{'minutes':>9}")
    for name, run, concurrency in (
        ("ours, 8", shared, 8),
        ("ours, 32", shared, 32),
        ("repeat as SDKs, 1", naive, 1),
        ("repeat as SDKs, 4", naive, 4),
        ("repeat as SDKs, 16", naive, 16),
    ):
        show(name, run, Setting(concurrency=concurrency))


def show(name: str, run: Callable[[Setting], Result], setting: Setting) -> None:
    """Print the medians."""
    results = [run(replace(setting, seed=seed)) for seed in _SEEDS]
    used = statistics.median(one.used for one in results)
    rejected = statistics.median(one.rejected_share for one in results)
    given_up = statistics.median(one.given_up for one in results)
    minutes = statistics.median(one.minutes for one in results)
    print(f"{name:32}{used:8.1%}{rejected:10.2%}{given_up:10.0f}{minutes:9.1f}")


if __name__ == "__main__":
    main()
