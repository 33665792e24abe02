"""Vision models that answer nonsense, or not at all: a reason, that sample or job only, all else done."""

import base64
import io
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from labelbus_cli.testing import World
from labelbus_simulator.models import Desk, Mishap
from PIL import Image
from typer.testing import Result

from .conftest import MODEL_KEY

WIDTH = 200
"""Pictures, or boxes to relabel, are so wide and wider: a width tells the stand-in which sample it sees."""
TEN = "cat, dog, bird, cow, pig, hen, fox, owl, bee, ant"
WRONG_BOX = {"confidence": 1, "x_min": 0, "y_min": 0, "x_max": 9, "y_max": 9}


@dataclass(frozen=True)
class Bad:
    """What the model answers about one sample, and what is said of it."""

    why: str
    text: str = ""
    message: dict[str, object] = field(default_factory=dict)
    finish: str = "stop"

    @property
    def mishap(self) -> Mishap:
        """Return the answer as it comes."""
        message = {"role": "assistant", "content": self.text, "refusal": None, **self.message}
        choice = {"index": 0, "finish_reason": self.finish, "message": message}
        body = {"id": "x", "object": "chat.completion", "created": 1, "model": "simulated"}
        return Mishap(200, {**body, "choices": [choice]})


ALWAYS = (
    Bad("it is empty"),
    Bad("it is a refusal", message={"content": None, "refusal": "I cannot help with that."}),
    Bad("it is a refusal", "no", finish="content_filter"),
    Bad("it was cut off", "The ans", finish="length"),
)
JSON = (Bad("it is not JSON", "It is a cat."), Bad("it is no JSON object", '["cat"]'))


def named(label: str, why: str) -> Bad:
    """Answer with a label and a reason."""
    return Bad(why, json.dumps({"label": label, "reason": "x"}))


def boxed(label: str, why: str) -> Bad:
    """Answer with one box."""
    return Bad(why, json.dumps({"objects": [{"label": label, **WRONG_BOX}]}))


SEARCHED = "none of blue square, red circle"
CASES: dict[str, tuple[list[str], tuple[Bad, ...]]] = {
    "relabel": (
        ["--which-labels", "thing", "--prompt", "What is it?"],
        (*ALWAYS, Bad("several labels", TEN), Bad("another script", "кошка"), Bad("a sentence", "so " * 60)),
    ),
    "relabel-allowed": (
        ["--which-labels", "thing", "--prompt", "What is it?", "--allowed-labels", "red circle, blue square"],
        (*ALWAYS, *JSON, named("cow", "none of the allowed"), named("кошка", "none of the allowed")),
    ),
    "images": (
        ["--prompt", "What is it?"],
        (
            *ALWAYS,
            *JSON,
            named(TEN, "several labels"),
            named("кошка", "another script"),
            Bad("missing", "{}"),
        ),
    ),
    "validate": (
        ["--validation-prompt", "- There is text"],
        (
            *ALWAYS,
            *JSON,
            named("maybe", "none of the allowed"),
            named("valid, invalid", "none of the allowed"),
        ),
    ),
    "detect-llm": (
        ["--prompt", "red circle\nblue square"],
        (*ALWAYS, *JSON, boxed("cow", SEARCHED), boxed(TEN, SEARCHED), boxed("кошка", SEARCHED)),
    ),
}


class Twist:
    """Answers badly about the samples of some widths."""

    def __init__(self, bad: tuple[Bad, ...], desk: Desk) -> None:
        self.bad = bad
        self.asked: Counter[int] = Counter()
        desk.twist = self

    def __call__(self, body: dict[str, Any]) -> Mishap | None:
        """Look at the picture of a question."""
        nr = seen_width(body) - WIDTH
        self.asked[nr] += 1
        return self.bad[nr].mishap if nr < len(self.bad) else None


def seen_width(body: dict[str, Any]) -> int:
    """Return the width of the picture in a question."""
    url = body["messages"][-1]["content"][-1]["image_url"]["url"]
    with Image.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2]))) as picture:
        return picture.width


def samples(world: World, count: int, *, boxes: bool) -> list[int]:
    """Add samples that the stand-in can tell by their width, or by that of their one box."""
    made = []
    for nr in range(count):
        size = (480, 300) if boxes else (WIDTH + nr, 160)
        (one,) = world.project.add_images(1, sizes=(size,), objects=(("red", "circle"),), seed=nr)
        if boxes:
            box = {"label": "thing", "x": 0, "y": 0, "width": WIDTH + nr, "height": 290}
            world.project.samples[one].boxes = [box]
        made.append(one)
    return made


def block(world: World, name: str, arguments: list[str], ids: list[int]) -> Result:
    """Run a block over samples and write."""
    return world.labelbus("block", name, "--data-ids-file", world.ids_file(ids), *arguments)


@pytest.mark.parametrize("case", CASES)
def test_useless_answers_fail_their_samples_only(world: World, model: str, desk: Desk, case: str) -> None:
    """Each is asked for twice, then told with why; nothing of it is written, all other samples are done."""
    name, (arguments, bad) = case.removesuffix("-allowed"), CASES[case]
    if name == "images":
        world.project.labeling_method = "single_label"
    ids = samples(world, len(bad) + 2, boxes=name == "relabel")
    twist = Twist(bad, desk)
    result = block(world, name, arguments, ids)
    assert result.exit_code == 1, result.output
    assert f"2 committed, {len(bad)} failed" in result.output
    assert set(world.written()) == set(ids[len(bad) :])
    assert twist.asked == {nr: 2 if nr < len(bad) else 1 for nr in range(len(ids))}
    reasons = [line for line in result.output.splitlines() if line.startswith("failed ")]
    for one, wanted in zip(ids, bad, strict=False):
        told = [line for line in reasons if str(one) in line.partition("(for example")[2]]
        assert told and wanted.why in told[0] and "asked twice" in told[0], (one, wanted, reasons)


WORKS = {name: CASES[name][0] for name in ("relabel", "images", "validate", "detect-llm")}


@pytest.mark.parametrize("name", WORKS)
def test_a_key_revoked_in_mid_job_pauses_it(world: World, model: str, desk: Desk, name: str) -> None:
    """What was answered is written; the same command goes on when the key is back, and pays nothing twice."""
    if name == "images":
        world.project.labeling_method = "single_label"
    ids = samples(world, 6, boxes=name == "relabel")

    def revoke(body: dict[str, Any]) -> Mishap | None:
        if len(desk.requests) >= 3:
            desk.key = "another"
        return None

    desk.twist = revoke
    arguments = [*WORKS[name], "--concurrency", "1"]
    paused = block(world, name, arguments, ids)
    assert paused.exit_code == 1, paused.output
    assert "is paused" in paused.output and "refused the key (HTTP 401" in paused.output
    assert MODEL_KEY not in paused.output
    answered = len(desk.requests) - 1
    desk.key, desk.twist = MODEL_KEY, None
    again = block(world, name, arguments, ids)
    assert again.exit_code == 0, again.output
    assert "Going on with job" in again.output and "6 committed" in again.output
    assert answered >= 3 and len(desk.requests) <= len(ids) + 4
    assert set(world.written()) == set(ids)


def failing(status: int, code: str, message: str) -> Mishap:
    """Return a provider's error."""
    return Mishap(status, {"error": {"message": message, "code": code, "type": "error"}})


@pytest.mark.parametrize(
    ("mishap", "said"),
    [
        (failing(429, "insufficient_quota", "You exceeded your current quota"), "has no quota left"),
        (
            failing(404, "model_not_found", "The model `gpt-9` does not exist"),
            "The model `gpt-9` does not exist",
        ),
        (failing(403, "", "Your country is not supported"), "refused the key"),
    ],
)
@pytest.mark.parametrize("name", WORKS)
def test_faults_of_the_account_pause_the_job(
    world: World, model: str, desk: Desk, name: str, mishap: Mishap, said: str
) -> None:
    """Nothing is written, no sample fails, and few are asked about before it is known."""
    if name == "images":
        world.project.labeling_method = "single_label"
    ids = samples(world, 4, boxes=name == "relabel")
    desk.twist = lambda _: mishap
    result = block(world, name, [*WORKS[name], "--concurrency", "1"], ids)
    assert result.exit_code == 1, result.output
    assert "is paused" in result.output and said in result.output
    assert "failed" not in result.output
    assert world.written() == []
    assert len(desk.requests) <= len(ids)


def test_a_provider_that_is_down_fails_its_samples(
    world: World, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They fail with its name, not for ever: tried again when it is back, they are labeled."""
    monkeypatch.setenv("LABELBUS_DISPATCHER_ATTEMPTS", "1")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    ids = samples(world, 2, boxes=False)
    result = block(world, "validate", WORKS["validate"], ids)
    assert result.exit_code == 1, result.output
    assert "2 failed" in result.output and "127.0.0.1:9 cannot be reached" in result.output
    monkeypatch.setenv("OPENAI_BASE_URL", f"{model}/v1")
    again = block(world, "validate", WORKS["validate"], ids)
    assert again.exit_code == 0, again.output
    assert set(world.written()) == set(ids)


def test_a_provider_that_falters_is_asked_again(world: World, model: str, desk: Desk) -> None:
    """Every second call fails with 500, 503 or 429: all samples are labeled all the same."""
    ids = samples(world, 4, boxes=False)
    faults = [failing(500, "", "oops"), failing(503, "", "overloaded"), failing(429, "", "slow down")]

    def falter(body: dict[str, Any]) -> Mishap | None:
        nr = len(desk.requests)
        return faults[nr // 2 % 3] if nr % 2 else None

    desk.twist = falter
    result = block(world, "detect-llm", WORKS["detect-llm"], ids)
    assert result.exit_code == 0, result.output
    assert "4 committed" in result.output
