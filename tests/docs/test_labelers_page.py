"""The pages about labelers: each labeler is there, and every command runs as it stands."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from labelbus_labeling.registry import installed

from .commands import fenced, run

pytestmark = pytest.mark.timeout(660)
_SECTION = re.compile(r"^## ([a-z-]+)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def sections(root: Path) -> Mapping[str, str]:
    """Return the text of each labeler's section."""
    return dict(_SECTION.findall((root / "docs/reference/labelers.md").read_text()))


def test_every_labeler_has_its_section(sections: Mapping[str, str]) -> None:
    """And nothing else has one."""
    assert set(sections) == {*installed(), "merge"}


@pytest.mark.parametrize("name", [*sorted(installed()), "merge"])
def test_a_section_says_what_is_needed_and_shows_an_example(
    name: str, sections: Mapping[str, str], root: Path
) -> None:
    """What it needs, where to read on, a command, and the table of its parameters."""
    text = sections[name]
    assert re.search(r"\]\((\.\./how-to/|action-files\.md#)", text) or "Needs what `" in text
    assert "```bash run\n" in text
    if name == "merge":
        return
    assert "Needs " in text
    assert f"<!-- generated: parameters-{name} -->" in text
    assert all(f"| `{field}` |" in text for field in installed()[name].parameters.model_fields)
    if (root / "blocks" / name).exists():
        assert f"[its block](../../blocks/{name}/README.md)" in text


def test_every_example_of_the_reference_runs(root: Path, tmp_path: Path) -> None:
    """Each labeler labels what it is shown."""
    said = run("\n".join(fenced(root / "docs/reference/labelers.md", "run")), tmp_path, COLUMNS="140")
    assert said.count("finished: 4 committed") == 2
    assert said.count("finished: 4 proposed") == 6
    assert "finished: 2 proposed" in said
    assert "failed" not in said


def test_the_how_to_of_audio_runs_as_it_stands(root: Path, tmp_path: Path) -> None:
    """The engine is named, tones and noise are told apart, and the block writes."""
    said = run("\n".join(fenced(root / "docs/how-to/label-audio.md", "run")), tmp_path, COLUMNS="140")
    assert "Listening with the endpoint at 127.0.0.1 (HF_INFERENCE_ENDPOINT)." in said
    assert "finished: 6 proposed" in said
    assert "finished: 6 committed" in said
    assert re.search(r"^silence: 1 ", said, re.MULTILINE)
    assert "finished: 3 committed" in said


def test_the_how_to_of_another_project_runs_as_it_stands(root: Path, tmp_path: Path) -> None:
    """Its boxes are kept by label, renamed, and written; the source's key is not said."""
    page = root / "docs/how-to/label-with-another-project.md"
    said = run("\n".join(fenced(page, "run")), tmp_path, COLUMNS="140")
    assert re.search(r"^pyramid +0 +2 ", said, re.MULTILINE)
    assert "finished: 6 committed" in said
    assert "finished: 3 committed" in said
    assert "ei_source" not in said
