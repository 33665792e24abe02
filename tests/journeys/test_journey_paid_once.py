"""Nobody is paid twice for the same question, whichever labeler asks: previews, applying, running again."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from labelbus_cli.testing import World
from labelbus_simulator.models import Desk, huggingface_app, openai_app, serve_model
from starlette.applications import Starlette
from starlette.routing import Mount

PROMPTS = {
    "relabel": {"which_labels": "thing", "prompt": "What is this?"},
    "images": {"prompt": "What is this?"},
    "validate": {"validation_prompt": "- There is text"},
    "detect-llm": {"prompt": "red circle\nblue square"},
}
BOX = {"label": "thing", "x": 4, "y": 4, "width": 60, "height": 50}


@pytest.fixture
def eyes(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Serve a vision model that costs something; what it is asked is noted."""
    desk = Desk(key="sk-once")
    with serve_model(openai_app(desk)) as url:
        for name in ("AZURE_OPENAI_ENDPOINT", "OPENAI_REASONING_EFFORT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-once")
        monkeypatch.setenv("OPENAI_MODEL", "simulated")
        monkeypatch.setenv("LABELBUS_PRICES", '{"simulated": [1, 0.1, 4]}')
        yield desk


def action(world: World, labeler: str, **changes: object) -> str:
    """Write the action of one labeler."""
    steps = [{"labeler": labeler, "parameters": {**PROMPTS.get(labeler, {}), **changes}}]
    return world.action_file(json.dumps({"name": labeler, "steps": steps}))


def run(world: World, *arguments: str) -> str:
    """Run a command that must end well; return what it printed."""
    result = world.labelbus(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def put_boxes(world: World) -> None:
    """Give every sample one box."""
    for one in world.ids:
        world.project.samples[one].boxes = [dict(BOX)]


@pytest.mark.parametrize("labeler", sorted(PROMPTS))
def test_a_preview_is_all_that_is_paid_for(world: World, eyes: Desk, labeler: str) -> None:
    """Previewing again and applying the action ask nothing; another prompt asks about every sample."""
    world.project.labeling_method = "single_label" if labeler == "images" else "object_detection"
    put_boxes(world)
    path = action(world, labeler)
    run(world, "run", path)
    assert len(eyes.requests) == len(world.ids)
    run(world, "run", path, "--new", "--budget", "0")
    run(world, "run", path, "--apply", "--yes", "--budget", "0")
    assert len(eyes.requests) == len(world.ids)
    spent = json.loads(run(world, "jobs", "show", "last", "--json"))
    assert (spent["cost"]["cost_usd"], spent["budget"]["calls"]) == (0, 0)
    put_boxes(world)  # relabel has given them other labels
    name = "validation_prompt" if labeler == "validate" else "prompt"
    run(world, "run", action(world, labeler, **{name: "- green triangle"}))
    assert len(eyes.requests) == 2 * len(world.ids)


def test_servers_of_one_host_are_told_apart(
    world: World, eyes: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one server said is no answer of another, though host and model have one name."""
    put_boxes(world)
    other = Desk(key="sk-once")
    both = Starlette(routes=[Mount("/one", openai_app(eyes)), Mount("/two", openai_app(other))])
    path = action(world, "relabel")
    with serve_model(both) as url:
        for folder in ("one", "two", "two/"):
            monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/{folder.rstrip('/')}/v1{folder[3:]}")
            run(world, "run", path, "--new")
    assert (len(eyes.requests), len(other.requests)) == (len(world.ids), len(world.ids))


def test_only_a_crop_that_changed_is_asked_about(world: World, eyes: Desk) -> None:
    """Questions are about crops: one moved box is one call, whatever else is in its image."""
    ids = world.ids[:3]
    for one in ids:  # around shapes: one of plain ground is the same crop wherever it stands
        shapes = world.project.truth[one][:2]
        world.project.samples[one].boxes = [{**shape.box(), "label": "thing"} for shape in shapes]  # type: ignore[union-attr]
    command = ("run", action(world, "relabel"), "--data-ids-file", world.ids_file(ids))
    run(world, *command)
    assert len(eyes.requests) == 6
    world.project.samples[ids[0]].boxes[0]["width"] -= 7
    run(world, *command, "--new")
    assert len(eyes.requests) == 7
    run(world, "run", action(world, "relabel", context_margin=20), "--data-ids-file", world.ids_file(ids))
    assert len(eyes.requests) == 13


def test_two_jobs_share_their_answers(world: World, eyes: Desk) -> None:
    """A step that asks the same in another action is answered too; another model is another question."""
    run(world, "run", action(world, "detect-llm"))
    steps = [{"labeler": "detect-llm", "parameters": PROMPTS["detect-llm"]}]
    steps.append({"labeler": "validate", "parameters": PROMPTS["validate"]})
    asked = len(eyes.requests)
    run(world, "run", world.action_file(json.dumps({"name": "both", "steps": steps})))
    assert len(eyes.requests) == asked + len(world.ids)  # validate's only
    run(world, "run", action(world, "detect-llm", model="other"))
    assert len(eyes.requests) == asked + 2 * len(world.ids)


@pytest.fixture
def ears(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Serve a model that hears, at a cent for each window."""
    desk = Desk(key="hf_once")
    with serve_model(huggingface_app(desk)) as url:
        monkeypatch.setenv("HF_INFERENCE_ENDPOINT", f"{url}/ast")
        monkeypatch.setenv("HF_API_KEY", "hf_once")
        monkeypatch.setenv("LABELBUS_AUDIO_PRICE_PER_CALL_USD", "0.01")
        yield desk


def test_windows_are_estimated_paid_for_and_not_paid_for_again(
    make_world: Callable[..., World], ears: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The estimate counts a call for each window, the budget holds, and a second run costs nothing."""
    world = make_world()
    world.project.labeling_method = "single_label"
    world.ids = world.project.add_audio(4, pieces=3, seconds=2.0)
    path = action(world, "audio", audioset_labels="white noise", win_size_ms=500, win_stride_ms=500)
    said = run(world, "estimate", path, "--pilot", "0")
    assert re.search(r"calls   16  \(endpoint:127\.0\.0\.1#\w{8}\)", said), said
    assert "cost    $0.1600" in said
    short = world.labelbus("run", path, "--budget", "0.05")
    assert short.exit_code == 1
    assert "The budget of job" in short.output
    run(world, "jobs", "resume", "last", "--budget", "0.16")
    paid = len(ears.requests)
    spent = json.loads(run(world, "jobs", "show", "last", "--json"))["budget"]
    assert spent["calls"] == paid <= 16
    assert spent["spent_usd"] == pytest.approx(0.01 * paid)
    run(world, "run", path, "--apply", "--yes", "--budget", "0")
    assert len(ears.requests) == paid
    monkeypatch.delenv("LABELBUS_AUDIO_PRICE_PER_CALL_USD")
    unknown = action(world, "audio", audioset_labels="white noise", win_size_ms=400, win_stride_ms=400)
    said = run(world, "estimate", unknown, "--pilot", "0")
    assert "cost    unknown\n" in said
    assert "give it in LABELBUS_AUDIO_PRICE_PER_CALL_USD" in said
    assert world.labelbus("run", unknown, "--budget", "1").exit_code == 1
    assert len(ears.requests) == paid
