"""Existing custom blocks as steps: real programs behind the proxying Studio, previewed and applied."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from labelbus_cli.testing import KEY, PROMPT, World, kill, until
from labelbus_simulator import Studio, serve

BLOCKS = Path(__file__).parent / "blocks"
OFFICIAL = f"{sys.executable} {BLOCKS / 'with_official_client.py'}"
PLAIN = f"{sys.executable} {BLOCKS / 'with_plain_http.py'}"
TOKEN = "hf_the-token-of-somebody"
CHAIN = f"""\
name: shapes, counted
steps:
  - labeler: owl-vit
    parameters:
      prompt: {json.dumps(PROMPT)}
  - labeler: custom-block
    parameters:
      command: {json.dumps(PLAIN)}
      propose: false
"""


def directly(world: World, *words: str) -> dict[int, tuple[object, ...]]:
    """Run the block as Edge Impulse does, against a Studio of its own; return what it holds then."""
    studio = Studio(world.studio.options)
    project = studio.add_project("Shapes", key=KEY)
    twin = World(studio, project, "", world.folder)
    twin.add(len(world.ids))
    with serve(studio) as endpoint:
        environ = {**os.environ, "EI_API_ENDPOINT": endpoint}
        command = [*words, "--data-ids-file", twin.ids_file()]
        subprocess.run(command, env=environ, check=True, timeout=120, capture_output=True)
    return held(twin)


def held(world: World) -> dict[int, tuple[object, ...]]:
    """Return what Studio holds of each sample."""
    samples = world.project.samples
    return {one: (world.boxes(one), dict(samples[one].metadata)) for one in world.ids}


def ran(world: World, command: str, *more: str) -> tuple[int, str]:
    """Run `labelbus run-block` with the ids; return exit code and output in one line."""
    result = world.labelbus("run-block", "--command", command, "--data-ids-file", world.ids_file(), *more)
    return result.exit_code, " ".join(result.output.split())


def test_a_block_with_the_official_client(world: World) -> None:
    """Unchanged, it previews without a write; the preview applied is what the block alone would have made."""
    wanted = directly(world, *OFFICIAL.split(), "--label", "thing")
    before = world.state()
    code, said = ran(world, OFFICIAL, "--param", "label=thing")
    assert code == 0, said
    assert "8 proposed" in said
    assert world.state() == before
    found = re.search(r"Job ([0-9a-f]{32})", said)
    assert found
    applied = world.labelbus("jobs", "apply", found[1], "--yes")
    assert applied.exit_code == 0, applied.output
    assert held(world) == wanted


def test_a_block_that_always_writes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writes are caught in a preview, made once per sample when applied; nobody sees key or secret."""
    monkeypatch.setenv("THEIR_TOKEN", TOKEN)
    wanted = directly(world, *PLAIN.split())
    more = ["--secret", "TOKEN=env:THEIR_TOKEN", "--no-propose"]
    code, said = ran(world, PLAIN, *more)
    assert code == 0, said
    assert world.written() == []
    code, again = ran(world, PLAIN, *more, "--apply", "--yes")
    assert code == 0, again
    assert held(world) == wanted
    assert sorted(world.written("set-boxes")) == sorted(world.ids)
    kept = [path.read_bytes().decode("latin-1") for path in world.folder.rglob("*") if path.is_file()]
    assert not [one for one in (KEY, TOKEN) if one in said + again + "".join(kept)]


def test_a_block_sees_the_step_before_it(world: World) -> None:
    """As a second step it counts the boxes of the first, none of which Studio holds yet."""
    result = world.labelbus(
        "run", world.action_file(CHAIN), "--data-ids-file", world.ids_file(), "--apply", "--yes"
    )
    assert result.exit_code == 0, result.output
    for boxes, metadata in held(world).values():
        assert isinstance(boxes, list)
        assert isinstance(metadata, dict)
        assert len(boxes) > 1
        assert metadata["found"] == str(len(boxes) - 1)
    assert sorted(world.written("set-boxes")) == sorted(world.ids)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("exit", "exit code 1"),
        ("hang", "did not end within"),
        ("delete", "tried DELETE"),
        ("rename", "tried POST"),
        ("neighbour", "not in its ids file"),
        ("shape", "what Studio does not take"),
    ],
)
def test_trouble_with_one_sample(world: World, trouble: str, reason: str) -> None:
    """It alone fails, with the reason and what the block said, stars for its key; the others are written."""
    more = ["--env", f"TROUBLE={trouble}:3", "--no-propose", "--timeout", "3", "--apply", "--yes"]
    code, said = ran(world, PLAIN, *more)
    assert code == 1
    assert "7 committed" in said
    assert "1 failed" in said
    assert reason in said
    assert "Key ***" in said
    assert sorted(set(world.written())) == [one for one in world.ids if one != 3]
    assert world.project.name == "Shapes"
    assert len(world.project.samples) == 8


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("no-such-program", "cannot be started"),
        (f"{sys.executable} -c 1/0", "before it asked for any sample"),
    ],
)
def test_a_block_that_cannot_work_at_all(world: World, command: str, reason: str) -> None:
    """The job pauses for it, once, and nothing is written."""
    code, said = ran(world, command, "--apply", "--yes")
    assert code == 1
    assert reason in said
    assert world.written() == []


def test_an_action_that_hands_out_a_secret_itself_is_refused(world: World) -> None:
    """An action names secrets; a value in their place is not shown."""
    code, said = ran(world, PLAIN, "--secret", f"TOKEN={TOKEN}")
    assert code == 2
    assert "never write the secret itself" in said
    assert TOKEN not in said


def test_a_form_names_what_the_block_takes(make_world: Callable[..., World]) -> None:
    """Its defaults are handed over, and a misspelt parameter is found before anything runs."""
    world = make_world()
    world.add(2)
    form = world.folder / "parameters.json"
    item = {"name": "Label", "type": "string", "param": "label", "value": "from the form"}
    form.write_text(json.dumps({"info": {"name": "Marker"}, "parameters": [item]}))
    code, said = ran(world, OFFICIAL, "--form", str(form), "--param", "lable=x")
    assert (code, "'label'" in said) == (2, True), said
    code, said = ran(world, OFFICIAL, "--form", str(form), "--apply", "--yes")
    assert code == 0, said
    assert {boxes[0][0] for boxes, _ in held(world).values() if isinstance(boxes, list)} == {"from the form"}


def test_a_killed_job_goes_on(world: World) -> None:
    """kill -9 ends the block with Labelbus; the same command again finishes the job, each write made once."""
    command = ["run-block", "--command", PLAIN, "--data-ids-file", world.ids_file(), "--no-propose"]
    command += ["--apply", "--yes", "--env", "TROUBLE=wait:3"]
    process = world.started(*command)
    pid = world.folder / "pid"
    until(lambda: pid.exists() and pid.read_text() != "")
    block = Path("/proc") / pid.read_text() / "cmdline"
    kill(process)
    until(lambda: not block.exists() or not block.read_bytes())
    (world.folder / "go").touch()
    again = world.labelbus(*command)
    assert again.exit_code == 0, again.output
    assert "Going on with job" in again.output
    assert sorted(world.written("set-boxes")) == sorted(world.ids)


def test_the_how_to_is_true(world: World) -> None:
    """Its block is previewed and its preview applied by the commands that it gives."""
    page = (Path(__file__).parents[2] / "docs/how-to/run-a-custom-block.md").read_text()
    found = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert found
    (world.folder / "mark.py").write_text(found[1])
    command = '--command "python mark.py" --param label=corner --data-ids-file ids.json'
    assert f"labelbus run-block {command}\nlabelbus jobs apply last\n" in page
    code, said = ran(world, f"{sys.executable} mark.py", "--param", "label=corner")
    assert code == 0, said
    assert world.written() == []
    applied = world.labelbus("jobs", "apply", "last", "--yes")
    assert applied.exit_code == 0, applied.output
    assert {tuple(world.boxes(one)) for one in world.ids} == {(("corner", 4, 4, 20, 20),)}
