"""The tests that a promise rests on exist under the name that the page says."""

import re
from pathlib import Path

_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_promise_names_a_test_that_exists(root: Path) -> None:
    """A renamed test is renamed here too; the last column of every row names one."""
    page = (root / "docs/discussions/promises.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("|")][2:]
    named = [_NAMED.findall(row) for row in rows]
    assert [row for row, found in zip(rows, named, strict=True) if len(found) != 1] == []
    gone = [f"{path}::{name}" for ((path, name),) in named if f"def {name}(" not in (root / path).read_text()]
    assert gone == []
