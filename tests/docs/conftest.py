"""Where the documents are, and the script that generates parts of them."""

from pathlib import Path
from types import ModuleType

import pytest

from .modules import module

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the repository."""
    return _ROOT


@pytest.fixture(scope="session")
def pages(root: Path) -> list[Path]:
    """Return every Markdown page that people read."""
    folders = ("docs", "blocks", "benchmarks", "services")
    found = [*root.glob("*.md"), *(page for folder in folders for page in (root / folder).rglob("*.md"))]
    return sorted(page for page in found if ".venv" not in page.parts)


@pytest.fixture(scope="session")
def reference(root: Path) -> ModuleType:
    """Return `tools/docs/reference.py`."""
    return module("labelbus_docs_reference", root / "tools/docs/reference.py")
