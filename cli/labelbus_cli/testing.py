"""A world for journeys: a simulated Studio over loopback, a home folder, and `labelbus` to act on them."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from labelbus_simulator import Project, Studio
from typer.testing import CliRunner, Result

from labelbus_cli.main import app

Ended: TypeAlias = tuple[str, int]
KEY = "ei_" + "0" * 32
PROMPT = """\
red circle (red circle, 0.45)
blue square (blue square, 0.45)
green triangle (green triangle, 0.45)
"""
ACTION = f"""\
name: shapes
steps:
  - labeler: owl-vit
    parameters:
      prompt: |
{"".join(f"        {line}{chr(10)}" for line in PROMPT.splitlines())}      nms: true
"""
OBJECTS = (("red", "circle"), ("blue", "square"), ("green", "triangle"))


@dataclass(slots=True)
class World:
    """A project in a simulated Studio, a home folder, and `labelbus` to act on them."""

    studio: Studio
    project: Project
    endpoint: str
    folder: Path
    ids: list[int] = field(default_factory=list)

    def add(self, count: int, **more: Any) -> list[int]:
        """Add pictures with the three shapes that the prompt names."""
        self.ids += self.project.add_images(count, objects=OBJECTS, **more)
        return self.ids

    def ids_file(self, ids: Sequence[object] | None = None) -> str:
        """Write an ids file; return its path."""
        path = self.folder / "ids.json"
        path.write_text(json.dumps(list(self.ids if ids is None else ids)))
        return str(path)

    def action_file(self, text: str = ACTION) -> str:
        """Write an action file; return its path."""
        path = self.folder / "action.yaml"
        path.write_text(text)
        return str(path)

    def labelbus(self, *arguments: str) -> Result:
        """Run a command in this process."""
        return CliRunner().invoke(app, list(arguments), catch_exceptions=False)

    def run(self, *arguments: str, ids: Sequence[object] | None = None) -> Result:
        """Run `labelbus run` with the action and the ids."""
        return self.labelbus("run", self.action_file(), "--data-ids-file", self.ids_file(ids), *arguments)

    def started(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command in a process of its own, which a test may kill."""
        command = [sys.executable, "-c", "from labelbus_cli.main import run; run()", *arguments]
        return subprocess.Popen(  # noqa: S603  # ourselves
            command, cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def boxes(self, sample_id: int) -> list[tuple[str, int, int, int, int]]:
        """Return the boxes that Studio holds."""
        names = ("label", "x", "y", "width", "height")
        return sorted(tuple(box[name] for name in names) for box in self.project.samples[sample_id].boxes)

    def state(self) -> list[object]:
        """Return everything that a preview must leave alone."""
        samples = self.project.samples.values()
        return [
            (s.id, s.label, list(s.boxes), dict(s.metadata), s.is_disabled, s.last_modified) for s in samples
        ]

    def written(self, route: str = "*") -> list[int]:
        """Return the samples of the writes of a route, in order."""
        writes = self.studio.calls.writes
        return [write["sample"] for write in writes if route in ("*", write["route"])]


def until(holds: Callable[[], bool], *, within_s: float = 60.0) -> None:
    """Wait until something holds. Fails when it does not in time."""
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"it did not come about within {within_s:g} s")
        time.sleep(0.02)


def kill(process: "subprocess.Popen[str]", number: int = signal.SIGKILL) -> str:
    """End a process and return what it said."""
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    return said


def at_a_terminal(command: Sequence[str], question: bytes, answer: bytes, *, within_s: float = 60.0) -> Ended:
    """Run a command in a pseudo terminal, answer its question; return what it said and its exit code.

    The answer is given again while nothing follows, as a person would: a Ctrl-C in the moment between
    the question and the reading of its answer is noticed with the next key only.
    """
    import pty

    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover  # the child
        os.execv(command[0], list(command))  # noqa: S606  # ourselves
    said, end, answered = b"", time.monotonic() + within_s, False
    while True:
        came = bool(select.select([terminal], [], [], 3.0)[0])
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            break
        try:
            said += os.read(terminal, 65_536) if came else b""
        except OSError:  # the other end is closed
            break
        _, asked, since = said.partition(question)
        if asked and (not answered or (not came and b"\n" not in since)):
            os.write(terminal, answer)
            answered = True
    os_status = os.waitpid(pid, 0)[1]
    os.close(terminal)
    return said.decode(errors="replace"), os.waitstatus_to_exitcode(os_status)
