"""Programs that flood, hang, leave children behind, or are not there; and how they are started."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from labelbus_contracts.ids import ProjectId, SampleId
from labelbus_customblock import process
from labelbus_customblock.command import environment, words, write_ids
from labelbus_customblock.parameters import CustomBlockParameters
from labelbus_customblock.redaction import last_lines
from labelbus_customblock.settings import CustomBlockSettings
from labelbus_runtime.errors import SettingsError
from pydantic import ValidationError

ENVIRON = {"PATH": os.environ["PATH"]}
SPAWN = """\
import subprocess, time
child = subprocess.Popen(['sleep', '60'])
open('{}', 'w').write(str(child.pid))
"""
HIDE = """\
import ctypes, os, subprocess
from labelbus_customblock.hiding import hide_environment

def seen():
    command = ["cat", f"/proc/{os.getpid()}/environ"]
    return b"hush" in subprocess.run(command, capture_output=True).stdout

if os.geteuid() == 0:
    os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # a change of user closes the process too
before = seen()
hide_environment()
print(before, seen())
"""
NEIGHBOURS = """\
import os, pathlib, time
def of(one, file):
    try:
        return (one / file).read_bytes()
    except OSError:
        return b""
def neighbours():
    for one in pathlib.Path("/proc").glob("[0-9]*"):
        parent = of(one, "stat").rpartition(b")")[2].split()[1:2]
        if parent == [str(os.getppid()).encode()] and b"guard" in of(one, "cmdline"):
            yield of(one, "environ")
while not (found := list(neighbours())):
    time.sleep(0.01)
print(b"hush" in b"".join(found))
"""
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


async def run(script: str, *, timeout_s: float = 20.0) -> process.Ended:
    """Run a script."""
    line = [sys.executable, "-S", "-c", script]
    return await process.run(line, environ=ENVIRON, folder=None, timeout_s=timeout_s)


async def test_the_end_of_an_output_is_kept() -> None:
    """However much there is, and of both streams."""
    script = "import sys\nfor n in range(200_000): print('line', n)\nsys.stdout.flush()\n"
    ended = await run(script + "print('end', file=sys.stderr)")
    assert ended.code == 0
    assert ended.output.endswith("line 199999\nend\n")
    assert len(ended.output) < 200_000


@on_linux
def test_a_block_cannot_read_our_environment() -> None:
    """Keys stand in it. Root may see it still, so that root becomes somebody else here."""
    environ = {**os.environ, "HUSH": "hush"}
    command = [sys.executable, "-c", HIDE]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.split() == ["True", "False"]


@on_linux
async def test_nor_that_of_its_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard is told where programs are, and nothing else."""
    monkeypatch.setenv("HUSH", "hush")
    assert (await run(NEIGHBOURS)).output == "False\n"


async def test_children_die_with_the_block(tmp_path: Path) -> None:
    """A block that is killed for its time leaves nothing behind."""
    ended = await run(SPAWN.format(tmp_path / "pid") + "time.sleep(60)", timeout_s=1.0)
    assert ended.code is None
    assert await gone(tmp_path / "pid")


async def test_a_child_that_holds_the_output_does_not_hold_us(tmp_path: Path) -> None:
    """What a block leaves running ends with it."""
    begun = time.monotonic()
    assert (await run(SPAWN.format(tmp_path / "pid"))).code == 0
    assert time.monotonic() - begun < 15
    assert await gone(tmp_path / "pid")


async def test_cancelling_kills_the_block(tmp_path: Path) -> None:
    """Whoever stops Labelbus stops the block."""
    path = tmp_path / "pid"
    task = asyncio.create_task(run(SPAWN.format(path) + "time.sleep(60)"))
    assert await holds(lambda: path.exists() and path.read_text() != "")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(path)


async def test_the_block_dies_with_a_labelbus_that_is_killed(tmp_path: Path) -> None:
    """Even where nobody could clean up, as after kill -9 or a second Ctrl-C."""
    path = tmp_path / "pid"
    line = [sys.executable, "-c", SPAWN.format(path) + "time.sleep(60)"]
    parent = "import asyncio, os\nfrom labelbus_customblock import process\n"
    parent += f"asyncio.run(process.run({line!r}, environ={ENVIRON!r}, folder=None, timeout_s=60))"
    labelbus = await asyncio.create_subprocess_exec(sys.executable, "-c", parent)
    assert await holds(lambda: path.exists() and path.read_text() != "")
    labelbus.kill()
    await labelbus.wait()
    assert await gone(path)


async def test_a_program_that_is_not_there() -> None:
    """It is an error of the operating system's, and no pipe stays open."""
    with pytest.raises(FileNotFoundError):
        await process.run(["no-such-program"], environ=ENVIRON, folder=None, timeout_s=1.0)


async def gone(path: Path) -> bool:
    """Tell whether the process named in a file ends in time; one that waits to be reaped has ended."""
    pid = await asyncio.to_thread(path.read_text)
    stat = Path(f"/proc/{pid}/stat")
    return await holds(lambda: not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z")


async def holds(condition: Callable[[], bool], within_s: float = 10.0) -> bool:
    """Wait until something holds; tell whether it came about in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if condition():
            return True
        await asyncio.sleep(0.02)
    return False


def test_arguments_are_handed_over_as_studio_does(tmp_path: Path) -> None:
    """Names as they are, flags bare, lines joined by backslash-n, ids and preview job at the end."""
    parameters = CustomBlockParameters.model_validate(
        {
            "command": "docker run -v {scratch}:{scratch} image",
            "arguments": {"nms": True, "off": False, "iou": 0.5, "some_prompt": "a\nb", "--on": "1"},
        }
    )
    line = words(parameters, tmp_path, {})
    assert line[:5] == ["docker", "run", "-v", f"{tmp_path}:{tmp_path}", "image"]
    assert line[5:12] == ["--nms", "--iou", "0.5", "--some_prompt", "a\\nb", "--on", "1"]
    assert line[12:] == ["--data-ids-file", f"{tmp_path}/ids.json", "--propose-actions", "1"]


def test_an_argument_may_be_a_secret(tmp_path: Path) -> None:
    """For blocks that take a key there, as the official one for pretrained models."""
    parameters = CustomBlockParameters.model_validate(
        {"command": "x", "arguments": {"key": "{secret:SOURCE}"}, "secrets": {"SOURCE": "env:S"}}
    )
    assert words(parameters, tmp_path, {"SOURCE": "ei_5"})[:3] == ["x", "--key", "ei_5"]


def test_the_ids_file(tmp_path: Path) -> None:
    """A bare list, or an object, as the block reads it."""
    for form, text in (("list", "[1, 2]"), ("object", '{"ids": [1, 2]}')):
        parameters = CustomBlockParameters.model_validate({"command": "x", "ids_form": form})
        write_ids(parameters, tmp_path, [SampleId(1), SampleId(2)])
        assert (tmp_path / "ids.json").read_text() == text


def test_the_environment_has_no_secret_of_the_process() -> None:
    """What is inherited is listed; loopback is not asked through somebody's proxy."""
    own = {"PATH": "/bin", "OPENAI_API_KEY": "k", "EI_PROJECT_API_KEY": "ei_real", "NO_PROXY": "corp"}
    parameters = CustomBlockParameters.model_validate({"command": "x", "environment": {"A": "b"}})
    given = environment(
        parameters,
        own,
        secrets={"TOKEN": "t"},
        project_id=ProjectId(7),
        endpoint="http://127.0.0.1:5/v1",
        token="ei_once",
    )
    assert given["EI_PROJECT_API_KEY"] == "ei_once"
    assert (given["EI_INGESTION_HOST"], given["EI_PROJECT_ID"]) == ("127.0.0.1:5", "7")
    assert (given["A"], given["TOKEN"], given["NO_PROXY"]) == ("b", "t", "corp,127.0.0.1,localhost")
    assert "OPENAI_API_KEY" not in given


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"command": ""}, "is empty. Name a program"),
        ({"command": "a 'b"}, "cannot be split into words"),
        ({"arguments": {"propose-actions": 3}}, "is given by Labelbus"),
        ({"arguments": {"two words": 3}}, "is no name of an argument"),
        ({"environment": {"EI_PROJECT_API_KEY": "x"}}, "Labelbus sets EI_"),
        ({"secrets": {"TOKEN": "hf_the-secret-itself"}}, "never write the secret itself"),
        ({"arguments": {"key": "{secret:TOKEN}"}}, "wants the secret TOKEN"),
        ({"timeout_s": 5000}, "less than or equal to 600"),
    ],
)
def test_wrong_parameters_are_said(wrong: dict[str, object], said: str) -> None:
    """Before anything runs."""
    with pytest.raises(ValidationError, match=said):
        CustomBlockParameters.model_validate({"command": "x", **wrong})


def test_settings_are_read() -> None:
    """Commands by line or semicolon; what cannot be split is said by its variable."""
    read = CustomBlockSettings.from_environment
    settings = read({"LABELBUS_CUSTOM_BLOCK_COMMANDS": "python a.py; 'my block'\nnode"})
    assert settings.allows(("python", "a.py", "--fast"))
    assert settings.allows(("my block",))
    assert not settings.allows(("python", "b.py"))
    assert not read({"LABELBUS_CUSTOM_BLOCK_COMMANDS": ""}).allows(("node",))
    for wrong in ({"COMMANDS": "a 'b"}, {"PROCESSES": "many"}):
        with pytest.raises(SettingsError, match=f"LABELBUS_CUSTOM_BLOCK_{next(iter(wrong))}"):
            read({f"LABELBUS_CUSTOM_BLOCK_{name}": value for name, value in wrong.items()})


def test_secrets_are_starred() -> None:
    """Longer ones first, so that none shows a part of another."""
    said = last_lines(
        "a secret-long\n\nsecret\n" + "x\n" * 30 + "secret-long ei_" + "a" * 40, ["secret", "secret-long"]
    )
    assert said.endswith("*** ***")
    assert "secret" not in said
    assert len(said.splitlines()) == 12


def test_what_a_terminal_would_obey_is_left_out() -> None:
    """Colours, cursor moves and bytes that are no text; a secret in two colours is starred all the same."""
    said = last_lines("\x1b[31mred\x1b[0m\tand \x1b]0;title\x07bell\x07\0 se\x1b[1mcret", ["secret"])
    assert said == "red and bell\ufffd\ufffd ***"
