"""`blocks/`: generated files are current, and a bundle holds all that its Dockerfile copies."""

import re
from pathlib import Path
from types import ModuleType

import pytest

from .modules import module

_COPY = re.compile(r"^COPY (\S+) ", re.MULTILINE)
_INSTALLED = re.compile(r'[ "]\./([a-z/]+)')


@pytest.fixture(scope="module")
def tool(root: Path) -> ModuleType:
    """Return `tools/blocks/blocks.py`."""
    return module("labelbus_blocks", root / "tools/blocks/blocks.py")


def test_generated_files_are_current(tool: ModuleType, root: Path) -> None:
    """Dockerfile, .dockerignore and parameters.json are what the labelers give: else `make blocks`."""
    assert len(tool.names()) >= 7
    stale = [
        f"{name}/{file}"
        for name in tool.names()
        for file, text in tool.files(name).items()
        if (root / "blocks" / name / file).read_text() != text
    ]
    assert stale == [], "run `make blocks`"


def test_every_labeler_of_ours_has_a_block(tool: ModuleType) -> None:
    """But for the one that runs other people's blocks."""
    ours = {name for name, one in tool.installed().items() if one.make.__module__.startswith("labelbus_")}
    assert ours - set(tool.names()) == {"custom-block"}


def test_a_bundle_can_be_pushed_by_itself(tool: ModuleType, tmp_path: Path) -> None:
    """What its Dockerfile copies and installs is in it; the id that Studio gave the block stays."""
    (tmp_path / ".ei-block-config").write_text("{}")
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "left.py").write_text("of an earlier bundle")
    tool.bundle("audio", tmp_path)
    text = (tmp_path / "Dockerfile").read_text()
    needed = [*_COPY.findall(text), *(place.rstrip("/") for place in _INSTALLED.findall(text))]
    assert {"requirements.lock", "services/audio", "libs/runtime", "cli"} <= set(needed)
    assert [place for place in needed if not (tmp_path / place).exists()] == []
    assert (tmp_path / "services/audio/labelbus_audio/audioset.txt").exists()
    assert (tmp_path / ".ei-block-config").read_text() == "{}"
    assert not (tmp_path / "cli" / "left.py").exists()
    assert list(tmp_path.rglob("__pycache__")) == []


def test_an_unknown_block_is_refused_by_name(tool: ModuleType, tmp_path: Path) -> None:
    """With those that there are."""
    with pytest.raises(SystemExit, match=r"no block 'audi'.*audio, detect-llm"):
        tool.main(["bundle", "audi", str(tmp_path)])


def test_each_readme_says_how_to_push(tool: ModuleType, root: Path) -> None:
    """By its own name."""
    for name in tool.names():
        page = (root / "blocks" / name / "README.md").read_text()
        assert f"make block NAME={name}\ncd .blocks/{name}\n" in page
        assert f"docker build -f blocks/{name}/Dockerfile -t labelbus-{name} ." in page
