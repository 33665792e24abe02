"""Actions of several steps, stored and exchanged with Studio, and a labeler that a user has written."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from labelbus_cli.testing import KEY, World
from labelbus_contracts.labels import BoundingBox
from labelbus_labeling import registry
from labelbus_labeling.labeler import Labeled, Labeler, LabelerParameters, LabelTask, Registration


class Told(LabelerParameters):
    """What the scripted labelers do."""

    label: str = "cat"
    x: int = 0
    even_score: float = 0.9
    odd_score: float = 0.9


@dataclass
class Scripted:
    """Puts one box on every sample, whose score depends on whether its id is even."""

    name: Literal["cheap", "paid"]
    seen: list[int] = field(default_factory=list)

    async def open(self) -> None:
        """Load nothing."""

    async def close(self) -> None:
        """Free nothing."""

    async def label(self, batch: Sequence[LabelTask]) -> Sequence[Labeled | Exception]:
        """Answer every task."""
        return [self._labeled(task) for task in batch]

    def _labeled(self, task: LabelTask) -> Labeled:
        self.seen.append(int(task.sample_id))
        told = task.parameters
        assert isinstance(told, Told)
        score = told.odd_score if task.sample_id % 2 else told.even_score
        box = BoundingBox(
            label=told.label, x=told.x, y=0, width=10, height=10, score=score, source=task.source
        )
        return Labeled(task.draft.model_copy(update={"boxes": (box,)}))

    def registration(self) -> Registration:
        """Register this very object."""

        def make(environ: Mapping[str, str]) -> Labeler:
            return self

        kinds = frozenset({"images_object_detection"})
        return Registration(self.name, f"The {self.name} one", kinds, Told, make)  # type: ignore[arg-type]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> tuple[Scripted, Scripted]:
    """Install a cheap and a paid labeler for every part of the process."""
    cheap, paid = Scripted("cheap"), Scripted("paid")
    known = {**registry.installed(), "cheap": cheap.registration(), "paid": paid.registration()}
    monkeypatch.setattr("labelbus_cli.labelers.installed", lambda: known)
    return cheap, paid


def write(world: World, text: str) -> str:
    """Write an action file; return its path."""
    return world.action_file(text)


def test_the_paid_model_sees_only_what_is_uncertain(
    world: World, scripted: tuple[Scripted, Scripted]
) -> None:
    """The second step runs where the first was unsure; every sample is written once."""
    cheap, paid = scripted
    action = write(
        world,
        "name: two steps\nsteps:\n- labeler: cheap\n  parameters: {odd_score: 0.3}\n"
        "- labeler: paid\n  parameters: {label: dog}\n  when: {max_score: 0.5}\n",
    )
    result = world.labelbus("run", action, "--apply", "--yes")
    assert result.exit_code == 0, result.output
    odd = {one for one in world.ids if one % 2}
    assert sorted(cheap.seen) == sorted(world.ids)
    assert set(paid.seen) == odd
    assert {one: world.boxes(one)[0][0] for one in world.ids} == {
        one: "dog" if one in odd else "cat" for one in world.ids
    }
    assert sorted(world.written("set-boxes")) == sorted(world.ids)


def test_branches_are_merged_and_written_once(world: World, scripted: tuple[Scripted, Scripted]) -> None:
    """Two opinions of equal weight put the box halfway; Studio sees one write for each sample."""
    action = write(
        world,
        "name: two opinions\nsteps:\n- labeler: merge\n  parameters: {iou: 0.3, votes: 2}\n  branches:\n"
        "  - {labeler: cheap}\n  - {labeler: paid, parameters: {x: 4}}\n",
    )
    result = world.labelbus("run", action, "--apply", "--yes")
    assert result.exit_code == 0, result.output
    assert {tuple(world.boxes(one)) for one in world.ids} == {(("cat", 2, 0, 10, 10),)}
    assert json.loads(world.labelbus("jobs", "show", "last", "--json").output)["samples"] == {"committed": 8}
    lines = world.labelbus("jobs", "export", "last").output.splitlines()
    votes = [json.loads(line)["after"]["boxes"][0]["votes"] for line in lines]
    assert [[vote["source"] for vote in one] for one in votes] == [["cheap#0", "paid#1"]] * 8
    assert sorted(world.written("set-boxes")) == sorted(world.ids)


def test_a_stored_action_is_run_by_name_and_its_job_says_which(
    world: World, scripted: tuple[Scripted, Scripted]
) -> None:
    """The job's action is name@revision."""
    action = write(world, "name: cats\nsteps:\n- labeler: cheap\n")
    assert world.labelbus("actions", "add", action).exit_code == 0
    assert "8 proposed" in world.labelbus("run", "cats").output
    assert "cats@1" in world.labelbus("jobs", "list").output


def test_a_project_of_another_method_rejects_the_job(
    world: World, scripted: tuple[Scripted, Scripted]
) -> None:
    """The step is named, and `labelers list --project` says it before."""
    world.project.labeling_method = "single_label"
    result = world.labelbus("run", write(world, "name: cats\nsteps:\n- labeler: cheap\n"))
    assert result.exit_code == 2
    assert "Step 0: cheap works on images of projects with bounding boxes" in result.output
    listed = world.labelbus("labelers", "list", "--project", str(world.project.id)).output
    assert "not here: cheap works on images" in listed
    assert world.labelbus("labelers", "list", "--project", "99").exit_code == 2


def test_an_action_goes_to_studio_and_comes_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pushed twice it is one action there; what is pulled is what was pushed, typed."""
    action = write(
        world,
        'name: cats\nsteps:\n- labeler: owl-vit\n  parameters: {prompt: "a cat (cat, 0.2)", nms: true}\n'
        "data: {which: unlabeled}\nmetadata_after: {by: us}\n",
    )
    refused = world.labelbus("actions", "push", action)
    assert (refused.exit_code, "Step 0 (owl-vit) has no block" in refused.output) == (2, True)
    assert "Created action" in world.labelbus("actions", "push", action, "--block", "owl-vit=123").output
    world.studio.blocks = [{"name": "Bounding box labeling with OWL-ViT"}]
    world.studio.add_key("ei_organisation", None, "admin")
    monkeypatch.setenv("EI_ORGANIZATION_ID", str(world.studio.organization_id))
    monkeypatch.setenv("EI_API_KEY", "ei_organisation")
    assert "Updated action" in world.labelbus("actions", "push", action).output
    (there,) = world.project.actions.values()
    step = {"transformationBlockId": 1, "parameters": {"prompt": "a cat (cat, 0.2)", "nms": "true"}}
    assert there.config == {"dataCategory": "unlabeledData", "steps": [step]}
    (world.folder / "pulled.yaml").write_text(world.labelbus("actions", "pull", "cats").output)
    assert (world.folder / "pulled.yaml").read_text().startswith("name: cats")
    assert "is right" in world.labelbus("actions", "validate", "pulled.yaml").output
    assert "nms: true" in (world.folder / "pulled.yaml").read_text()
    assert "cats" in world.labelbus("actions", "pull").output


@pytest.fixture
def own_labeler(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write a labeler package and install it, as pip would: on the path, with its entry point."""
    made = world.labelbus("labeler", "new", "dark-box")
    assert made.exit_code == 0, made.output
    folder = world.folder / "dark-box"
    entry = re.search(r'^dark-box = "(.*)"$', (folder / "pyproject.toml").read_text(), re.MULTILINE)
    assert entry is not None
    about = folder / "dark_box-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: dark-box\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text(f"[labelbus.labelers]\ndark-box = {entry[1]}\n")
    monkeypatch.syspath_prepend(str(folder))
    registry.installed.cache_clear()
    yield folder
    registry.installed.cache_clear()
    sys.modules.pop("dark_box", None)


def test_a_labeler_of_ones_own_passes_its_conformance_test(own_labeler: Path) -> None:
    """The package that `labeler new` writes works as it is."""
    said = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(own_labeler)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=own_labeler,
        env={**os.environ, "PYTHONPATH": str(own_labeler)},
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert "7 passed" in said.stdout


def test_a_labeler_of_ones_own_runs_embedded_and_as_a_block(world: World, own_labeler: Path) -> None:
    """Its action runs in one process, its form is generated, and a second one of the name is refused."""
    result = world.labelbus("run", str(own_labeler / "action.yaml"))
    assert result.exit_code == 0, result.output
    assert "8 proposed" in result.output
    form = world.labelbus("block", "dark-box", "--parameters-json").output
    assert '"param": "darkness"' in form
    block = world.labelbus("block", "dark-box", "--data-ids-file", world.ids_file(), "--label", "dark")
    assert block.exit_code == 0, block.output
    assert {boxes[0][0] for boxes in map(world.boxes, world.ids) if boxes} == {"dark"}
    for taken in ("dark-box", "json", "numpy"):  # labelers, and packages that it would hide
        assert world.labelbus("labeler", "new", taken).exit_code == 2
    assert KEY not in result.output + block.output
