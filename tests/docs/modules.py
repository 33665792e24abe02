"""Programs of `tools/`, which are no package, as modules."""

import importlib.util
from pathlib import Path
from types import ModuleType


def module(name: str, path: Path) -> ModuleType:
    """Return the file at `path` as a module of that name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made
