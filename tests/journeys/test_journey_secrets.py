"""No secret is printed, logged, kept or carried, whether it is right or a service sends it back refused."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from labelbus_cli.testing import ACTION, World
from labelbus_contracts.v1.message import Message
from labelbus_runtime.codec import Record, encode
from labelbus_simulator.models import (
    Desk,
    Mishap,
    answer_with_boxes,
    beam_app,
    huggingface_app,
    openai_app,
    serve_model,
)

CANARIES = {
    "EI_PROJECT_API_KEY": "canary0project0yellow",
    "BEAM_ACCESS_KEY": "canary0beam0yellow",
    "OPENAI_API_KEY": "canary0openai0yellow",
    "HF_API_KEY": "canary0hugging0yellow",
    "SOURCE_KEY": "canary0source0yellow",
}
"""They look like no key, so that the net which blots keys out of logs catches none of them."""

AUDIO = "name: sounds\nsteps:\n  - labeler: audio\n    parameters: {audioset_labels: Sine wave}\n"
IMAGES = "name: images\nsteps:\n  - labeler: detect-llm\n    parameters: {prompt: red circle (thing)}\n"
OUTCOMES = {("project", True): "Set EI_PROJECT_API_KEY"}
BORROWED = """\
name: borrowed
steps:
  - labeler: pretrained
    parameters: {source_secret: "env:SOURCE_KEY", keep_bounding_boxes: red circle}
"""


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Give every record that the process's carrier carries."""
    bodies: list[bytes] = []

    def noted(message: Message, *, source: str, traceparent: str | None = None) -> Record:
        record = encode(message, source=source, traceparent=traceparent)
        bodies.append(record.value + repr(record.headers).encode())
        return record

    monkeypatch.setattr("labelbus_runtime.embedded.encode", noted)
    return bodies


@pytest.fixture
def world(make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Give pictures and a sound in a project, and all keys in the environment."""
    made = make_world()
    made.add(3)
    made.project.add_audio(1)
    made.studio.add_key(CANARIES["EI_PROJECT_API_KEY"], made.project.id, "admin")
    source = made.studio.add_project("Source", key=CANARIES["SOURCE_KEY"])
    source.classify = answer_with_boxes
    for name, canary in CANARIES.items():
        monkeypatch.setenv(name, canary)
    monkeypatch.setenv("LABELBUS_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("LABELBUS_CACHE", str(made.folder / "cache"))
    yield made


def everywhere(world: World, carried: Sequence[bytes], said: Sequence[str]) -> bytes:
    """Return all that was printed, every byte that was kept, and every message."""
    files = [path.read_bytes() for path in world.folder.rglob("*") if path.is_file()]
    return b"".join([*files, *carried, *(text.encode() for text in said)])


def desk_of(variable: str, *, refuses: bool) -> Desk:
    """Return a desk that wants the key, or one that refuses it and says it aloud."""
    canary = CANARIES[variable]
    echo = {"error": {"message": f"Incorrect API key provided: {canary}", "code": canary}, "detail": canary}
    return Desk(key=canary, mishaps=deque([Mishap(401, echo)] * 200 if refuses else []))


def walked(world: World, action: str, *more: str) -> list[str]:
    """Preview, apply the preview, report, list: return what each said."""
    first = world.labelbus("run", world.action_file(action), "--data-ids-file", world.ids_file(), *more)
    rest = [("jobs", "apply", "last", "--yes"), ("jobs", "show", "last"), ("jobs", "report", "last")]
    return [first.output, *(world.labelbus(*command).output for command in rest)]


@pytest.mark.parametrize("refuses", [False, True], ids=["right", "refused"])
@pytest.mark.parametrize("kind", ["project", "beam", "openai", "huggingface", "source"])
def test_no_key_is_printed_logged_kept_or_carried(
    world: World, carried: list[bytes], monkeypatch: pytest.MonkeyPatch, kind: str, refuses: bool
) -> None:
    """A whole journey at log level DEBUG, with ledger, cache, report and messages looked through."""
    said: list[str]
    match kind:
        case "project":
            if refuses:
                world.studio.revoke(CANARIES["EI_PROJECT_API_KEY"])
            said = walked(world, ACTION)
        case "source":
            if refuses:
                world.studio.revoke(CANARIES["SOURCE_KEY"])
            said = walked(world, BORROWED)
        case "beam":
            with serve_model(beam_app(desk_of("BEAM_ACCESS_KEY", refuses=refuses))) as url:
                monkeypatch.setenv("BEAM_ENDPOINT", url)
                said = walked(world, ACTION)
        case "openai":
            with serve_model(openai_app(desk_of("OPENAI_API_KEY", refuses=refuses))) as url:
                monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
                monkeypatch.setenv("OPENAI_MODEL", "simulated")
                said = walked(world, IMAGES)
        case _:
            world.ids = [max(world.project.samples)]
            world.project.labeling_method = "single_label"
            with serve_model(huggingface_app(desk_of("HF_API_KEY", refuses=refuses))) as url:
                monkeypatch.setenv("HF_INFERENCE_ENDPOINT", f"{url}/ast")
                said = walked(world, AUDIO)
    assert OUTCOMES.get((kind, refuses), "is paused" if refuses else "proposed") in said[0]
    found = everywhere(world, carried, said)
    assert [name for name, canary in CANARIES.items() if canary.encode() in found] == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "studio"])
def test_no_token_of_a_cluster_is_said(world: World, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Neither an API that is away nor a server that is none of ours makes `submit` show the token."""
    monkeypatch.setenv("LABELBUS_URL", world.endpoint if url == "studio" else url)
    monkeypatch.setenv("LABELBUS_TOKEN", "canary0token0yellow")
    result = world.labelbus("submit", world.action_file(), "--project", "1", "--secret", "ledger:main")
    assert result.exit_code in (1, 2), result.output
    assert "canary" not in result.output


def test_no_secret_is_said_by_settings(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wrong database URL and a wrong sealing key are named without their contents."""
    monkeypatch.setenv("LABELBUS_DATABASE_URL", "postgresql://me:canary0password@127.0.0.1:1/x")
    assert "canary" not in world.labelbus("jobs", "list").output
    monkeypatch.setenv("LABELBUS_DATABASE_URL", "nonsense://me:canary0password@127.0.0.1:1/x")
    assert "canary" not in world.labelbus("jobs", "list").output
    monkeypatch.delenv("LABELBUS_DATABASE_URL")
    monkeypatch.setenv("LABELBUS_SECRET_KEYS", "canary0sealing")
    monkeypatch.setenv("EI_PROJECT_API_KEY", "canary0of0the0environment")
    stored = world.labelbus("secrets", "put", "main", "--project", "1", "--env", "EI_PROJECT_API_KEY")
    assert (stored.exit_code, "canary" in stored.output) == (2, False)
