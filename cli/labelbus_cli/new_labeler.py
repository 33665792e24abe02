"""Write the package of a new labeler: one that works, to be changed."""

import keyword
import re
from collections.abc import Collection
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Final

from labelbus_contracts.jobs import MERGE

from labelbus_cli.errors import BadInput

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_FILES: Final = {
    "pyproject.toml.txt": "pyproject.toml",
    "labeler.py.txt": "{module}/__init__.py",
    "test.py.txt": "tests/test_{module}.py",
    "action.yaml.txt": "action.yaml",
    "Dockerfile.txt": "Dockerfile",
}


def write_labeler(name: str, folder: Path, taken: Collection[str]) -> list[Path]:
    """Write the package `name` into `folder/name`; return its files. Raises `BadInput`."""
    _check(name, taken)
    target = folder / name
    if target.exists():
        raise BadInput(f"{target} is there already. Choose another name, or remove it.")
    words = {"name": name, "module": name.replace("-", "_")}
    written = []
    for template, where in _FILES.items():
        path = target / where.format(**words)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (files("labelbus_cli") / "templates" / "labeler" / template).read_text(encoding="utf-8")
        path.write_text(Template(text).substitute(words), encoding="utf-8")
        written.append(path)
    return written


def _check(name: str, taken: Collection[str]) -> None:
    if not _NAME.fullmatch(name) or name.endswith("-"):
        raise BadInput(
            f"'{name}' cannot be a labeler's name. Use small letters, digits and dashes: dark-box."
        )
    if name in taken or name == MERGE:
        raise BadInput(f"There is a labeler '{name}' already. Choose another name.")
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or module.startswith("labelbus"):
        raise BadInput(f"'{name}' cannot be the name of a Python package of your own. Choose another.")
    if find_spec(module) is not None:
        raise BadInput(f"There is a Python package '{module}' already. Choose another name.")
