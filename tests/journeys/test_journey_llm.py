"""Labelers that ask a vision model: as blocks they do what the official ones do, in an action they chain."""

import base64
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from labelbus_cli.testing import KEY, PROMPT, World
from labelbus_simulator import Studio, serve
from labelbus_simulator.models import Desk, Mishap
from PIL import Image
from typer.testing import Result

from .conftest import MODEL_KEY

QUESTION = "What is this? Say 'nothing' if it is nothing."
OLD = [
    {"label": "thing", "x": -4, "y": -3, "width": 60, "height": 50},
    {"label": "other", "x": 5, "y": 6, "width": 20, "height": 22},
]


def say(url: str, prompt: str, image: bytes, **more: Any) -> str:
    """Ask the model as the official blocks do."""
    picture = {"url": "data:image/jpeg;base64," + base64.b64encode(image).decode(), "detail": "auto"}
    content = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": picture}]
    body = {"model": "gpt-4o-2024-08-06", "messages": [{"role": "user", "content": content}], **more}
    headers = {"Authorization": f"Bearer {MODEL_KEY}"}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=60)
    return str(answer.raise_for_status().json()["choices"][0]["message"]["content"])


def official_relabel(world: World, url: str, sample_id: int) -> list[tuple[object, ...]]:
    """Return the boxes by the official block's algorithm, written anew from its description."""
    sample = world.project.samples[sample_id]
    image = Image.open(io.BytesIO(sample.content.data())).convert("RGB")
    kept = []
    for box in sample.boxes:
        box = dict(box)
        if box["label"].strip().lower() != "thing":
            kept.append(box)
            continue
        box["width"] = min(box["x"] + box["width"], image.width) - max(box["x"], 0)
        box["height"] = min(box["y"] + box["height"], image.height) - max(box["y"], 0)
        box["x"], box["y"] = max(box["x"], 0), max(box["y"], 0)
        buffer = io.BytesIO()
        corners = (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
        image.crop(corners).save(buffer, "JPEG", quality=90)
        label = say(url, QUESTION, buffer.getvalue()).lower().rstrip(".")
        if label != "nothing":
            kept.append({**box, "label": label})
    return content(kept)


def content(boxes: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    """Return boxes without regard to their order."""
    return sorted((b["label"], b["x"], b["y"], b["width"], b["height"]) for b in boxes)


def relabel_things(world: World, ids: list[int]) -> Result:
    """Run the relabel block over samples and write."""
    asked = ["--which-labels", "thing", "--prompt", QUESTION]
    return world.labelbus("block", "relabel", "--data-ids-file", world.ids_file(ids), *asked)


def things(world: World, ids: list[int]) -> None:
    """Give every sample a box for each shape, one on nothing, and one that is not asked about."""
    for one in ids:
        sample = world.project.samples[one]
        shapes = [{**shape.box(), "label": "Thing "} for shape in world.project.truth[one]]  # type: ignore[union-attr]
        sample.boxes = [*shapes, *(dict(box) for box in OLD)]
        sample.metadata = {"camera": "left"}


def test_the_relabel_block_does_what_the_official_one_does(world: World, model: str, desk: Desk) -> None:
    """Preview and apply give its boxes; nothing else changes; the apply asks nothing a second time."""
    ids = world.ids[:4]
    things(world, ids)
    wanted = {one: official_relabel(world, model, one) for one in ids}
    studio_job = world.project.add_job()
    common = ["block", "relabel", "--data-ids-file", world.ids_file(ids), "--prompt", QUESTION]
    common += ["--which-labels", "animal, THING", "--disable-labels", "Nothing", "--concurrency", "4"]

    before, asked = world.state(), len(desk.requests)
    preview = world.labelbus(*common, "--propose-actions", str(studio_job.id))
    assert preview.exit_code == 0, preview.output
    assert world.state() == before
    proposed = {sample: changes for (_, sample), changes in studio_job.proposals.items()}
    assert {one: content(proposed[one]["boundingBoxes"]) for one in ids} == wanted

    paid = len(desk.requests) - asked
    applied = world.labelbus(*common)
    assert applied.exit_code == 0, applied.output
    assert {one: content(world.project.samples[one].boxes) for one in ids} == wanted
    assert all(world.project.samples[one].metadata == {"camera": "left"} for one in ids)
    assert 0 < paid <= sum(len(boxes) for boxes in wanted.values()) + 4
    assert len(desk.requests) == asked + paid
    assert MODEL_KEY not in preview.output + applied.output


def test_the_images_block_does_what_the_official_one_does(
    home: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Label, disabling, reason and prompt are the official block's, previewed and applied."""
    studio = Studio()
    project = studio.add_project("Pictures", "single_label", key=KEY)
    with serve(studio) as endpoint:
        monkeypatch.setenv("EI_API_ENDPOINT", endpoint)
        world = World(studio, project, endpoint, home)
        ids = world.add(4)
        project.samples[ids[0]].metadata = {"camera": "left"}
        wanted = {}
        for one in ids:
            said = say(
                model, "?", project.samples[one].content.data(), response_format={"type": "json_object"}
            )
            answer = json.loads(said)
            metadata = {**project.samples[one].metadata, "reason": answer["reason"], "prompt": QUESTION}
            wanted[one] = (answer["label"], answer["label"] == "red circle", metadata)
        job = project.add_job()
        common = ["block", "images", "--data-ids-file", world.ids_file(), "--prompt", QUESTION]
        common += ["--disable-labels", "RED circle"]

        before = world.state()
        preview = world.labelbus(*common, "--propose-actions", str(job.id))
        assert preview.exit_code == 0, preview.output
        assert world.state() == before
        proposed = {sample: changes for (_, sample), changes in job.proposals.items()}
        assert {
            one: (said["label"], bool(said.get("isDisabled")), said["metadata"])
            for one, said in proposed.items()
        } == wanted

        applied = world.labelbus(*common)
        assert applied.exit_code == 0, applied.output
        held = {s.id: (s.label, s.is_disabled, s.metadata) for s in project.samples.values()}
        assert held == wanted


@pytest.mark.parametrize(
    ("block", "arguments"),
    [
        ("validate", ["--validation-prompt", "- There is text"]),
        ("detect-llm", ["--prompt", "red circle\nblue square (thing)"]),
    ],
)
def test_verdicts_and_boxes_are_previewed_and_applied(
    world: World, model: str, block: str, arguments: list[str]
) -> None:
    """What was proposed is what is written."""
    ids = world.ids[:3]
    job = world.project.add_job()
    common = ["block", block, "--data-ids-file", world.ids_file(ids), *arguments]
    before = world.state()
    preview = world.labelbus(*common, "--propose-actions", str(job.id))
    assert preview.exit_code == 0, preview.output
    assert world.state() == before
    applied = world.labelbus(*common)
    assert applied.exit_code == 0, applied.output
    for (_, one), changes in job.proposals.items():
        sample = world.project.samples[one]
        assert sample.metadata == changes["metadata"]
        assert sample.boxes == changes.get("boundingBoxes", sample.boxes)
        assert sample.is_disabled is (block == "validate")
    assert len(job.proposals) == len(ids)


def test_what_a_run_disables_is_said(world: World, model: str) -> None:
    """Before and after it is written; a sample that was disabled before does not count."""
    world.project.samples[world.ids[0]].is_disabled = True
    parameters = {"validation_prompt": "- There is no box"}
    action = {"name": "check", "steps": [{"labeler": "validate", "parameters": parameters}]}
    path = world.folder / "check.yaml"
    path.write_text(json.dumps(action))
    asked = ["run", str(path), "--data-ids-file", world.ids_file(world.ids[:3])]
    assert "2 of the samples would be disabled." in world.labelbus(*asked).output
    assert "2 samples were disabled." in world.labelbus(*asked, "--apply", "--yes").output
    assert "2 samples were disabled." in world.labelbus("jobs", "show", "last").output


def test_two_steps_download_once_and_write_once(world: World, model: str) -> None:
    """Found by one model, named by another, shown in the report: one image, one write of each kind each."""
    found = PROMPT.replace("(red circle,", "(thing,")
    action = {
        "name": "find and name",
        "steps": [
            {"labeler": "owl-vit", "parameters": {"prompt": found, "nms": True}},
            {"labeler": "relabel", "parameters": {"which_labels": ["thing"], "prompt": QUESTION}},
        ],
    }
    path = world.folder / "two.yaml"
    path.write_text(json.dumps(action))
    world.studio.calls.reset()
    result = world.labelbus("run", str(path), "--data-ids-file", world.ids_file(), "--apply", "--yes")
    assert result.exit_code == 0, result.output
    labels = Counter(box["label"] for one in world.ids for box in world.project.samples[one].boxes)
    assert "thing" not in labels
    assert labels["red circle"] >= len(world.ids) - 2
    reads = {key: count for key, count in world.studio.calls.by_sample.items() if "image" in key[0]}
    assert len(reads) == len(world.ids)
    assert max(reads.values()) == 1
    for route in ("set-boxes", "set-metadata"):
        assert max(Counter(world.written(route)).values()) == 1


def test_one_useless_answer_fails_its_sample_only(world: World, model: str, desk: Desk) -> None:
    """The rest is written; the reason says what was answered, and the useless sample keeps its box."""
    ids = world.ids[:3]
    for one in ids:
        world.project.samples[one].boxes = [dict(OLD[1], label="thing" if one == ids[0] else "other")]
    message = {"role": "assistant", "content": "cat\ndog", "refusal": None}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "simulated"}
    desk.mishaps.extend(
        [Mishap(200, {**body, "choices": [{"index": 0, "finish_reason": "stop", "message": message}]})] * 2
    )
    result = relabel_things(world, ids)
    assert result.exit_code == 1
    assert "2 committed, 1 failed" in result.output
    assert "It answered 'cat dog'" in result.output
    assert world.project.samples[ids[0]].boxes[0]["label"] == "thing"


def test_a_spent_quota_pauses_the_job(world: World, model: str, desk: Desk) -> None:
    """The reason says what to do; nothing is written."""
    world.project.samples[world.ids[0]].boxes = [{**OLD[0], "x": 0, "y": 0}]
    body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    desk.mishaps.extend([Mishap(429, body)] * 4)
    result = relabel_things(world, world.ids[:1])
    assert result.exit_code == 1
    assert "no quota left" in result.output
    assert world.written() == []
    assert len(desk.requests) == 1


@pytest.mark.parametrize("block", ["relabel", "images", "validate", "detect-llm"])
def test_the_forms_are_generated(world: World, block: str) -> None:
    """The committed parameters.json is what the command prints."""
    printed = world.labelbus("block", block, "--parameters-json").output
    committed = Path(__file__).parents[2] / "blocks" / block / "parameters.json"
    assert committed.read_text() == printed
