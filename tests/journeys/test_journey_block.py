"""The block: Studio's arguments in, the official block's results out."""

import base64
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from labelbus_cli.testing import KEY, World
from labelbus_detector.serve import serve_app as detector_app
from labelbus_detector.settings import DetectorSettings
from labelbus_simulator import Dataset
from labelbus_simulator.server import serve_app

PROMPT = r"red circle (red circle, 0.45)\nblue square (thing, 0.45)\ngreen triangle (thing, 0.5)"
OLD = [
    {"label": "thing", "x": 2, "y": 3, "width": 10, "height": 12},
    {"label": "other", "x": 5, "y": 6, "width": 20, "height": 22},
]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[str]:
    """Serve the toy detector as `labelbus serve detector` does; the block finds it by BEAM_ENDPOINT."""
    settings = DetectorSettings.from_environment(
        {"LABELBUS_DETECTOR_MODEL": "toy", "LABELBUS_SERVE_TOKEN": "sesame"}
    )
    with serve_app(_Ready(detector_app(settings))) as url:
        monkeypatch.setenv("BEAM_ENDPOINT", url)
        monkeypatch.setenv("BEAM_ACCESS_KEY", "sesame")
        yield url


class _Ready:
    """Run an app's lifespan at its first request: the simulator's server has none."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._lifespan: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._lifespan is None:
            self._lifespan = self._app.router.lifespan_context(self._app)
            await self._lifespan.__aenter__()
        await self._app(scope, receive, send)


def official(world: World, url: str, sample_id: int, how: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the boxes by the official block's algorithm, written anew from its description."""
    sample = world.project.samples[sample_id]
    assert sample.size is not None
    queries: dict[str, tuple[str, float]] = {}
    for line in PROMPT.replace("\\n", "\n").splitlines():
        phrase, _, options = line.rpartition("(")
        name, least = options.rpartition(")")[0].split(",")
        queries[phrase.strip()] = (name.strip(), float(least))
    image = base64.b64encode(sample.content.data()).decode()
    answer = httpx.post(
        url,
        json={"base64_image": image, "labels": list(queries)},
        headers={"Authorization": "Bearer sesame"},
        timeout=60,
    )
    wanted = {label for label, _ in queries.values()}
    delete = how.get("delete", "no")
    kept = [] if delete == "yes" else [b for b in sample.boxes if delete == "no" or b["label"] not in wanted]
    groups = defaultdict(list)
    for prediction in answer.raise_for_status().json()["predictions"]:
        label, minimum = queries[prediction["label"]]
        box = prediction["box"]
        width, height = box["xmax"] - box["xmin"], box["ymax"] - box["ymin"]
        area = width * height / (sample.size[0] * sample.size[1]) * 100
        if prediction["score"] < minimum or (how.get("smaller") and area < how["smaller"]):
            continue
        found = {"label": label, "x": box["xmin"], "y": box["ymin"], "width": width, "height": height}
        groups[label].append((prediction["score"], found))
    for group in groups.values():
        kept += [box for _, box in (suppressed(group) if how.get("nms") else group)]
    return kept


def suppressed(group: list[tuple[float, dict[str, Any]]]) -> list[tuple[float, dict[str, Any]]]:
    """Keep the best of those that overlap by more than 0.2."""
    kept: list[tuple[float, dict[str, Any]]] = []
    for score, box in sorted(group, key=lambda one: -one[0]):
        if all(overlap(box, other) <= 0.2 for _, other in kept):
            kept.append((score, box))
    return [one for one in group if one in kept]


def overlap(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Return intersection over union."""
    width = min(a["x"] + a["width"], b["x"] + b["width"]) - max(a["x"], b["x"])
    height = min(a["y"] + a["height"], b["y"] + b["height"]) - max(a["y"], b["y"])
    shared = max(0, width) * max(0, height)
    return float(shared / (a["width"] * a["height"] + b["width"] * b["height"] - shared))


def content(boxes: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    """Return boxes without regard to their order."""
    return sorted((b["label"], b["x"], b["y"], b["width"], b["height"]) for b in boxes)


WAYS = [
    pytest.param(["--nms"], {"nms": True}, id="nms"),
    pytest.param(
        ["--delete_existing_bounding_boxes", "matching-prompt"], {"delete": "matching-prompt"}, id="some"
    ),
    pytest.param(
        ["--delete_existing_bounding_boxes", "yes", "--nms", "--ignore-objects-smaller-than", "3"],
        {"delete": "yes", "nms": True, "smaller": 3},
        id="all-small",
    ),
]


@pytest.mark.parametrize(("arguments", "how"), WAYS)
def test_the_block_does_what_the_official_one_does(
    world: World, endpoint: str, arguments: list[str], how: dict[str, Any]
) -> None:
    """Preview and apply give the boxes and the metadata of the official algorithm on the same detector."""
    ids = world.ids[:4]
    for one in ids:
        world.project.samples[one].boxes = [dict(box) for box in OLD]
        world.project.samples[one].metadata = {"camera": "left"}
    wanted = {one: content(official(world, endpoint, one, how)) for one in ids}
    studio_job = world.project.add_job()
    common = ["block", "owl-vit", "--data-ids-file", world.ids_file(ids), "--prompt", PROMPT]
    common += ["--clip", "0", *arguments]

    before = world.state()
    preview = world.labelbus(*common, "--propose-actions", str(studio_job.id))
    assert preview.exit_code == 0, preview.output
    shown = f"Studio shows what is proposed in its job {studio_job.id}; its samples are as they were."
    assert shown in preview.output
    assert world.state() == before
    proposed = {sample: changes for (_, sample), changes in studio_job.proposals.items()}
    assert {one: content(proposed[one]["boundingBoxes"]) for one in ids} == wanted

    applied = world.labelbus(*common, "--propose-actions", "0")
    assert applied.exit_code == 0, applied.output
    assert {one: content(world.project.samples[one].boxes) for one in ids} == wanted
    metadata = {"camera": "left", "labeled_by": "owlv2", "prompt": PROMPT.replace("\\n", "\n")}
    assert all(world.project.samples[one].metadata == metadata for one in ids)
    assert all(proposed[one]["metadata"] == metadata for one in ids)


def test_failed_samples_give_exit_code_1(world: World) -> None:
    """The rest is written; lines are plain."""
    bad = world.project.add(Dataset.damaged("not-an-image"))
    file = world.ids_file([*world.ids, *bad])
    result = world.labelbus(
        "block", "owl-vit", "--data-ids-file", file, "--prompt", PROMPT, "--new-thing", "1"
    )
    assert result.exit_code == 1
    assert "Ignoring the unknown argument --new-thing" in result.output
    assert "8 committed, 1 failed" in result.output
    assert "\x1b" not in result.output
    assert KEY not in result.output


def test_a_missing_key_is_said_before_anything(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the official block: the sentence and exit code 1, whatever the arguments are."""
    monkeypatch.delenv("EI_PROJECT_API_KEY")
    result = world.labelbus("block", "owl-vit", "--nonsense")
    assert (result.exit_code, result.output) == (1, "Missing EI_PROJECT_API_KEY\n")


def test_the_form_is_generated(world: World) -> None:
    """The committed parameters.json is what the command prints."""
    printed = world.labelbus("block", "owl-vit", "--parameters-json").output
    committed = Path(__file__).parents[2] / "blocks/owl-vit/parameters.json"
    assert committed.read_text() == printed


@pytest.mark.parametrize("dies", [True, False])
def test_a_block_needs_its_key_only_while_its_job_runs(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    """All proposals are there when it ends; a key that dies with its job is then refused by name."""
    world = make_world(key_dies_with_job=dies)
    world.add(3)
    job = world.project.add_job()
    monkeypatch.setenv("EI_PROJECT_API_KEY", world.project.add_block_key(job))
    command = ("block", "owl-vit", "--data-ids-file", world.ids_file(), "--prompt", PROMPT)
    result = world.labelbus(*command, "--propose-actions", str(job.id))
    assert result.exit_code == 0, result.output
    assert {sample for _, sample in job.proposals} == set(world.ids)
    job.finish()
    again = world.labelbus(*command, "--propose-actions", str(job.id))
    assert (again.exit_code, "Set EI_PROJECT_API_KEY" in again.output) == (int(dies), dies)
