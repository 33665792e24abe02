"""The how-to on writing a labeler, command by command: one process, Kafka, and as a block.

`pip` is uv here, which builds the package without fetching anything.
"""

import os
import sys
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from labelbus_ledger.secrets import new_key
from labelbus_simulator import Project, Studio, serve

from .commands import fenced, run

pytestmark = pytest.mark.timeout(660)
PAGE = "docs/how-to/write-a-labeler.md"
_UV = Path(sys.executable).parent / "uv"
_SCRIPTS = {
    "labelbus": 'python -c "from labelbus_cli.main import run; run()" "$@"',
    "pytest": 'python -m pytest -p no:cacheprovider "$@"',
    "pip": f'{_UV} pip "$1" -q --offline --no-deps --python "$(command -v python)" "${{@:2}}"',
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who follows the page: a folder with the package, an environment, and a project."""

    folder: Path
    environ: dict[str, str]
    project: Project
    said: str


@pytest.fixture(scope="module")
def reader(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Run the page's first commands in a virtual environment of its own that sees ours."""
    folder = tmp_path_factory.mktemp("reader")
    programs = _own_environment(folder / "venv")
    studio = Studio()
    project = studio.add_project("Shapes", key="ei_...")
    project.add_images(24)
    project.jobs[42] = replace(project.add_job(), id=42)  # the preview job that the page names
    with serve(studio) as endpoint:
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        environ = {"EI_API_ENDPOINT": endpoint, "PATH": path}
        said = run(fenced(root / PAGE, "run")[0], folder, **environ)
        yield Reader(folder, environ, project, said)


def test_the_package_passes_its_own_tests(reader: Reader) -> None:
    """What is written is installed, and proven by the suite of every labeler."""
    assert "7 passed" in reader.said


def test_it_is_as_short_as_the_page_says(root: Path, reader: Reader) -> None:
    """Fewer than 60 lines."""
    written = (reader.folder / "dark-box" / "dark_box" / "__init__.py").read_text().splitlines()
    count = sum(bool(line.strip()) for line in written)
    assert count < 60
    assert f"{count} lines with imports and docstrings" in (root / PAGE).read_text()


def test_it_runs_in_one_process_and_as_a_block(root: Path, reader: Reader) -> None:
    """A preview, its writing, the form and the block's preview: each succeeds."""
    said = run("\n".join(fenced(root / PAGE, "run")[1:]), reader.folder, **reader.environ)
    assert "20 proposed" in said
    assert "20 committed" in said
    assert "3 proposed" in said
    assert '"param": "darkness"' in (reader.folder / "dark-box" / "parameters.json").read_text()
    assert sum(bool(sample.boxes) for sample in reader.project.samples.values()) >= 15


@pytest.mark.kafka
def test_it_runs_on_kafka(root: Path, reader: Reader, real_kafka: Any) -> None:
    """A dispatcher that has not the package lets its instance in, and a submitted job ends."""
    ours = f"{sys.executable} -c 'from labelbus_cli.main import run; run()'"
    cluster = f"""
        export EI_PROJECT_API_KEY=ei_...
        labelbus secrets put main --project 1 --env EI_PROJECT_API_KEY
        LABELBUS_INSTANCE=dispatcher-1 {ours} start dispatcher --port 8000 &
        LABELBUS_INSTANCE=committer-1 {ours} start committer --port 8002 &
    """
    environ = {
        **reader.environ,
        "KAFKA_BOOTSTRAP_SERVERS": real_kafka.bootstrap_servers,
        "LABELBUS_KAFKA_TOPIC_PREFIX": "labeler.",
        "LABELBUS_SECRET_KEYS": new_key().get_secret_value(),
    }
    said = run("\n".join([cluster, *fenced(root / PAGE, "kafka")]), reader.folder, **environ)
    assert "finished: 24 proposed" in said


def _own_environment(folder: Path) -> Path:
    """Make a virtual environment in which everything of ours is installed; return its programs."""
    venv.create(folder, symlinks=True)
    programs = folder / "bin"
    here = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})["purelib"]
    ours = sysconfig.get_paths()["purelib"]
    Path(here, "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    for name, script in _SCRIPTS.items():
        (programs / name).write_text(f"#!/bin/bash\nexec {script}\n")
        (programs / name).chmod(0o755)
    return programs
