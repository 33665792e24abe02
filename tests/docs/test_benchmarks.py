"""The benchmarks that README quotes still run, with sizes that take a moment."""

import subprocess
import sys
from pathlib import Path

import pytest

SMALL = (
    ("dispatch.dispatcher_alone", "--samples", "20"),
    ("dispatch.end_to_end", "--samples", "20"),
    ("ledger.big_job", "--samples", "200"),
)


@pytest.mark.parametrize("arguments", SMALL, ids=lambda arguments: arguments[0])
def test_a_benchmark_runs_to_its_end(root: Path, arguments: tuple[str, ...]) -> None:
    """It prints its figures, and does not wait for ever for what has changed around it."""
    module, *options = arguments
    command = [sys.executable, "-m", f"benchmarks.{module}", *options]
    ran = subprocess.run(command, cwd=root, text=True, capture_output=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert "samples" in ran.stdout
