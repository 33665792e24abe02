"""README's commands run as they stand: against a simulated Studio, with the toy model, in a fresh home.

A fenced block of `bash run` is run; so is `bash kafka`, where there is a Kafka; of `bash make` and `bash
docker` it is proven that what they name exists. Only ports are replaced, by free ones.
"""

import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from labelbus_simulator import Studio, serve

from .commands import fenced, run

pytestmark = pytest.mark.timeout(660)


def blocks(root: Path, *kinds: str, page: str = "README.md") -> str:
    """Return the blocks of these kinds, in order."""
    return "\n".join(fenced(root / page, *kinds))


@pytest.fixture
def studio_environ() -> Any:
    """Serve a Studio whose project has the key that README shows."""
    studio = Studio()
    project = studio.add_project("Shapes", key="ei_...")
    project.add_images(24)
    project.jobs[42] = replace(project.add_job(), id=42)
    with serve(studio) as endpoint:
        yield {"EI_API_ENDPOINT": endpoint, "LABELBUS_DETECTOR_MODEL": "toy"}


def test_commands_for_one_process_run_as_they_stand(
    root: Path, tmp_path: Path, studio_environ: dict[str, str]
) -> None:
    """Action, preview, report, apply, block, detection server: each succeeds."""
    said = run(blocks(root, "run"), tmp_path, **studio_environ)
    assert "20 proposed" in said
    assert "20 committed" in said
    assert '"ready":true' in said
    assert "5 proposed" in said
    assert (tmp_path / "report.html").stat().st_size > 1000


def test_the_tutorial_runs_as_it_stands(root: Path, tmp_path: Path) -> None:
    """Its simulator, preview and apply succeed, and applying what is no preview is refused."""
    said = run(blocks(root, "run", page="docs/tutorial/first-dataset.md"), tmp_path)
    assert "40 proposed" in said
    assert "40 committed" in said
    assert "only a preview can be applied" in said


def test_the_how_to_of_vision_models_runs_as_it_stands(root: Path, tmp_path: Path) -> None:
    """Every labeler labels what it is shown: names, a split video's frames, boxes, new names, verdicts."""
    said = run(blocks(root, "run", page="docs/how-to/label-with-a-vision-model.md"), tmp_path, COLUMNS="140")
    assert "1 video is not split in a preview" in said
    assert "11 committed" in said
    assert re.search(r"^circle +0 +4 ", said, re.MULTILINE)
    assert re.search(r"^blue circle +0 +2 ", said, re.MULTILINE)
    assert "check boxes (validate)" in said
    assert "2 committed" in said


@pytest.mark.kafka
def test_commands_for_kafka_run_as_they_stand(
    root: Path, tmp_path: Path, studio_environ: dict[str, str], real_kafka: Any
) -> None:
    """Three services carry out a submitted job, and the HTTP API tells of it."""
    action = blocks(root, "run").splitlines()[:2]
    script = blocks(root, "kafka").replace("127.0.0.1:19092", real_kafka.bootstrap_servers)
    environ = {**studio_environ, "LABELBUS_KAFKA_TOPIC_PREFIX": "readme."}
    said = run("\n".join([*action, script]), tmp_path, **environ)
    assert "finished: 20 proposed" in said
    assert '"counts":{"proposed":20}' in said


def test_make_commands_are_targets(root: Path) -> None:
    """Every `make` command in README is a target of the Makefile."""
    named = set(re.findall(r"\bmake ([a-z-]+)", (root / "README.md").read_text()))
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test", "setup", "kafka-up"} <= named <= targets


def test_docker_commands_name_what_there_is(root: Path, reference: ModuleType) -> None:
    """Services, profiles and commands in README's Docker lines exist."""
    text = blocks(root, "docker")
    services = yaml.safe_load((root / "compose.yaml").read_text())["services"]
    profiles = {profile for service in services.values() for profile in service.get("profiles", ())}
    assert set(re.findall(r"--profile (\w+)", text)) <= profiles
    ran = re.findall(r"(\w+) labelbus ([a-z]+(?: [a-z]+)?)", text)
    assert {service for service, _ in ran} == {"cli"}
    paths = {" ".join(path) for path in reference.command_paths()}
    assert all(words in paths or words.split()[0] in paths for _, words in ran)
    environments = re.findall(r"--env-file (\S+)", text)
    assert environments
    assert all("http://simulator:4800" in (root / one).read_text() for one in environments)
    assert "4800" in services["simulator"]["command"]


def test_scripts_that_readme_names_exist(root: Path) -> None:
    """The commands beside the figures name files."""
    scripts = re.findall(r"python ((?:benchmarks|tools)/[\w/]+\.py)", (root / "README.md").read_text())
    assert scripts
    assert [script for script in scripts if not (root / script).exists()] == []
