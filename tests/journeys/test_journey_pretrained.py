"""The labeler `pretrained`: another project's impulse labels, as the official block would."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from labelbus_cli.testing import KEY, World
from labelbus_simulator import Project
from labelbus_simulator.faults import Fault
from labelbus_simulator.models.eyes import answer_with_boxes, answer_with_result

SOURCE_KEY = "ei_" + "7" * 32
KEEP = r"red circle (Ball)\nblue square"
OLD = [{"label": "old", "x": 2, "y": 3, "width": 10, "height": 12}]
ACTION = """\
name: borrowed eyes
steps:
  - labeler: pretrained
    parameters:
      source_secret: env:SOURCE_KEY
      keep_bounding_boxes: |
        red circle (Ball)
        blue square
"""


@pytest.fixture
def world(make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Give eight pictures with a box each, and a second project whose impulse finds shapes."""
    made = make_world()
    made.add(8)
    for sample in made.project.samples.values():
        sample.boxes = [dict(box) for box in OLD]
    source = made.studio.add_project("Source", key=SOURCE_KEY)
    source.classify = answer_with_boxes
    monkeypatch.delenv("LABELBUS_BLOCK_SOURCE_SECRET", raising=False)
    monkeypatch.setenv("SOURCE_KEY", SOURCE_KEY)
    yield made
    monkeypatch.delenv("LABELBUS_BLOCK_SOURCE_SECRET", raising=False)


def source_of(world: World) -> Project:
    """Return the second project."""
    return world.studio.projects[2]


def official(world: World, sample_id: int, *, delete: bool) -> list[tuple[object, ...]]:
    """Return the boxes by the official block's algorithm, in pixels, written anew from its description."""
    sample = world.project.samples[sample_id]
    files = {"image": ("test.jpg", sample.content.data(), "image/jpeg")}
    url = f"{world.endpoint}/api/{source_of(world).id}/classify/image"
    answer = httpx.post(url, files=files, headers={"x-api-key": SOURCE_KEY}).json()
    keep = {"red circle": "Ball", "blue square": "blue square"}
    boxes = [] if delete else [dict(box) for box in OLD]
    assert sample.size is not None
    width, height = sample.size
    for box in answer["boundingBoxes"]:
        label = keep.get(box["label"].lower())
        if label:
            x, y = round(box["x"] * width), round(box["y"] * height)
            right, bottom = (box["x"] + box["width"]) * width, (box["y"] + box["height"]) * height
            boxes.append(
                {"label": label, "x": x, "y": y, "width": round(right) - x, "height": round(bottom) - y}
            )
    return content(boxes)


def content(boxes: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    """Return boxes without regard to their order."""
    return sorted((b["label"], b["x"], b["y"], b["width"], b["height"]) for b in boxes)


def everything_said(world: World, *outputs: str) -> str:
    """Return all that was printed, and every byte that was kept."""
    files = [path for path in world.folder.rglob("*") if path.is_file() and path.name != "ids.json"]
    return "".join(outputs) + "".join(path.read_bytes().decode("latin-1") for path in files)


@pytest.mark.parametrize(("delete", "unit"), [(False, "ratio"), (True, "ratio"), (True, "pixel")])
def test_the_block_does_what_the_official_one_does(world: World, delete: bool, unit: str) -> None:
    """Preview and apply give its boxes, in whatever unit Studio answers; the key is shown nowhere."""
    wanted = {one: official(world, one, delete=delete) for one in world.ids}
    world.studio.set_options(classify_boxes=unit)
    studio_job = world.project.add_job()
    common = ["block", "pretrained", "--data-ids-file", world.ids_file()]
    common += ["--source-project-api-key", SOURCE_KEY, "--keep-bounding-boxes", KEEP]
    common += ["--delete-existing-bounding-boxes"] if delete else []
    before = world.state()
    preview = world.labelbus(*common, "--propose-actions", str(studio_job.id))
    assert preview.exit_code == 0, preview.output
    assert world.state() == before
    proposed = {sample: changes for (_, sample), changes in studio_job.proposals.items()}
    assert {one: content(proposed[one]["boundingBoxes"]) for one in world.ids} == wanted

    applied = world.labelbus(*common)
    assert applied.exit_code == 0, applied.output
    assert {one: content(world.project.samples[one].boxes) for one in world.ids} == wanted
    said = everything_said(world, preview.output, applied.output)
    assert SOURCE_KEY not in said
    assert "env:LABELBUS_BLOCK_SOURCE_SECRET" in said


def test_an_action_names_its_secret(world: World) -> None:
    """The same boxes by an action file, and the preview is applied without asking the source again."""
    wanted = {one: official(world, one, delete=False) for one in world.ids}
    asked = world.studio.calls.by_route["classify-image"]
    previewed = world.labelbus("run", world.action_file(ACTION), "--data-ids-file", world.ids_file())
    assert previewed.exit_code == 0, previewed.output
    assert world.written() == []
    found = re.search(r"Job ([0-9a-f]{32})", previewed.output)
    assert found
    applied = world.labelbus("jobs", "apply", found[1], "--yes")
    assert applied.exit_code == 0, applied.output
    assert {one: content(world.project.samples[one].boxes) for one in world.ids} == wanted
    assert world.studio.calls.by_route["classify-image"] == asked + len(world.ids)
    assert SOURCE_KEY not in everything_said(world, previewed.output, applied.output)


def test_a_classifier_sets_the_label(world: World) -> None:
    """In projects with one label per item the impulse's best class is the label."""
    world.project.labeling_method = source_of(world).labeling_method = "single_label"
    source_of(world).classify = answer_with_result
    result = world.labelbus(
        "block", "pretrained", "--data-ids-file", world.ids_file(), "--source-project-api-key", SOURCE_KEY
    )
    assert result.exit_code == 0, result.output
    for sample in world.project.samples.values():
        scores = answer_with_result(sample.content.data())["result"]
        assert sample.label == max(scores, key=lambda label: scores[label])


@pytest.mark.parametrize(
    ("breakage", "said"),
    [
        ({"labeling_method": "single_label"}, "Both must be labeled alike"),
        ({"classify": None}, "has no impulse 1"),
        ({"key": "revoked"}, "Correct source_secret"),
    ],
)
def test_a_source_that_cannot_label_is_said(world: World, breakage: dict[str, Any], said: str) -> None:
    """Nothing is written, the reason is plain, and the key is not in it."""
    if breakage.pop("key", None):
        world.studio.revoke(SOURCE_KEY)
    for name, value in breakage.items():
        setattr(source_of(world), name, value)
    result = world.labelbus(
        "run", world.action_file(ACTION), "--data-ids-file", world.ids_file(), "--apply", "--yes"
    )
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert world.written() == []
    assert SOURCE_KEY not in result.output


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("refuse", "classify-image", skip=3, message="Impulse has not been built yet"), "cannot label"),
        (Fault("error", "classify-image", skip=3, status=401), "Correct source_secret"),
    ],
)
def test_a_source_that_fails_in_the_middle_pauses_the_job(world: World, fault: Fault, said: str) -> None:
    """What was labeled before stays, and the job goes on once the source is mended."""
    world.studio.fault(fault)
    arguments = ["run", world.action_file(ACTION), "--data-ids-file", world.ids_file(), "--apply", "--yes"]
    paused = world.labelbus(*arguments)
    assert paused.exit_code == 1
    assert "is paused" in paused.output
    assert said in " ".join(paused.output.split())
    world.studio.faults.clear()
    resumed = world.labelbus("jobs", "resume", "last")
    assert resumed.exit_code == 0, resumed.output
    assert "8 committed" in resumed.output
    assert Counter(world.written("set-boxes")) == dict.fromkeys(set(world.written("set-boxes")), 1)


def test_a_key_written_into_an_action_is_refused_unshown(world: World) -> None:
    """An action names where the key is found."""
    path = world.action_file(ACTION.replace("env:SOURCE_KEY", SOURCE_KEY))
    result = world.labelbus("run", path, "--data-ids-file", world.ids_file())
    assert result.exit_code == 2
    assert "never write the key itself" in " ".join(result.output.split())
    assert SOURCE_KEY not in result.output


def test_the_form_is_generated(world: World) -> None:
    """The committed parameters.json is what the command prints; Studio's picker passes a key."""
    printed = world.labelbus("block", "pretrained", "--parameters-json").output
    assert (Path(__file__).parents[2] / "blocks/pretrained/parameters.json").read_text() == printed
    first = json.loads(printed)["parameters"][0]
    assert (first["param"], first["type"]) == ("source-project-api-key", "project")
    assert KEY not in printed
