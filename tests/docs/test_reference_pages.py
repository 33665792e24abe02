"""The reference says what the code does."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

_OTHERS = {"KAFKA_BOOTSTRAP_SERVERS", "BEAM_ENDPOINT", "BEAM_ACCESS_KEY"}


@pytest.mark.parametrize("name", ["cli", "configuration", "messages", "action-files", "labelers"])
def test_generated_parts_are_current(name: str, root: Path, reference: ModuleType) -> None:
    """Commands, settings, topics and keys of actions are as the code declares them: else `make docs`."""
    page = (root / "docs" / "reference" / f"{name}.md").read_text()
    assert "<!-- generated: " in page
    assert reference.rendered(page) == page, "run `make docs`"


def test_every_setting_says_what_it_means(reference: ModuleType) -> None:
    """No variable stands in the table without a meaning."""
    assert [name for name, (_, info) in reference.variables().items() if not info.description] == []


def test_every_variable_in_the_code_is_in_the_configuration_page(root: Path) -> None:
    """A variable that code names by hand is documented too."""
    page = (root / "docs" / "reference" / "configuration.md").read_text()
    folders = [
        *root.glob("libs/*/labelbus_*"),
        *root.glob("services/*/labelbus_*"),
        root / "cli/labelbus_cli",
    ]
    installed = [folder for folder in folders if importlib.util.find_spec(folder.name)]
    code = [path for folder in installed for path in folder.rglob("*.py")]
    named = {
        name
        for path in code
        for name in re.findall(r'"((?:LABELBUS|EI)_[A-Z0-9_]*[A-Z0-9])"', path.read_text())
    }
    assert sorted(name for name in named | _OTHERS if f"`{name}`" not in page) == []
