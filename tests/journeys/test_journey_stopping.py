"""Pause, resume and cancel, whether a process runs the job or not."""

import os
import re
import signal
from collections import Counter

import pytest
from labelbus_cli.testing import World, kill, until
from labelbus_simulator import Fault


def job_of(world: World) -> str:
    """Return the newest job's id, as far as `jobs list` shows it."""
    found = re.search(r"^([0-9a-f]{12}) ", world.labelbus("jobs", "list").output, re.MULTILINE)
    assert found
    return found[1]


@pytest.fixture
def slow(world: World) -> World:
    """Make writing slow after the first two."""
    world.studio.faults.add(Fault("latency", route="set-boxes", latency_s=0.5, skip=2))
    world.add(24)
    return world


def test_a_running_job_is_paused_and_resumed(slow: World) -> None:
    """Another process asks for a pause: the running one ends with exit code 1 and says how to go on."""
    ids = slow.ids_file()
    process = slow.started("run", slow.action_file(), "--data-ids-file", ids, "--apply", "--yes")
    until(lambda: len(slow.written("set-boxes")) >= 2 or process.poll() is not None)
    assert slow.labelbus("jobs", "pause", job_of(slow)).exit_code == 0
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "labelbus jobs resume" in said
    slow.studio.faults.clear()
    again = slow.labelbus("jobs", "resume", job_of(slow))
    assert again.exit_code == 0, again.output
    assert Counter(slow.written("set-boxes")) == dict.fromkeys(slow.ids, 1)


def test_a_job_that_nobody_runs_is_cancelled(slow: World) -> None:
    """After an interruption `jobs cancel` ends the job; the same command then starts a new one."""
    ids = slow.ids_file()
    process = slow.started("run", slow.action_file(), "--data-ids-file", ids, "--apply", "--yes")
    until(lambda: len(slow.written("set-boxes")) >= 2 or process.poll() is not None)
    said = kill(process, signal.SIGTERM)
    assert "to go on where it stopped" in said
    cancelled = slow.labelbus("jobs", "cancel", job_of(slow))
    assert "is cancelled" in cancelled.output
    assert slow.labelbus("jobs", "cancel", job_of(slow)).exit_code == 2
    for more in ((), ("--retry-failed",)):
        resumed = slow.labelbus("jobs", "resume", job_of(slow), *more)
        assert resumed.exit_code == 2 and "is cancelled and cannot go on" in resumed.output
    slow.studio.faults.clear()
    assert "Going on" not in slow.run("--sample", "1").output


@pytest.mark.parametrize("how", ["cancel", "run"])
def test_a_job_killed_while_it_wrote_is_cancelled(slow: World, how: str) -> None:
    """`jobs cancel` settles the write that a dead process had begun; without a key the next run does."""
    ids = slow.ids_file()
    process = slow.started("run", slow.action_file(), "--data-ids-file", ids, "--apply", "--yes")
    until(lambda: len(slow.written("set-boxes")) >= 2 or process.poll() is not None)
    kill(process)
    job = job_of(slow)
    slow.studio.faults.clear()
    if how == "run":
        key = os.environ.pop("EI_PROJECT_API_KEY")
        assert "in the middle of a write" in slow.labelbus("jobs", "cancel", job).output
        os.environ["EI_PROJECT_API_KEY"] = key
        assert slow.run("--sample", "1").exit_code == 0
    else:
        assert "is cancelled" in slow.labelbus("jobs", "cancel", job).output
    assert "cancelled" in slow.labelbus("jobs", "show", job).output
    halves = [one.id for one in slow.project.samples.values() if one.boxes and not one.metadata]
    assert halves == []


def test_following_a_job_that_has_ended(world: World) -> None:
    """`jobs watch` says how it ended, with its exit code."""
    world.run("--sample", "1")
    watched = world.labelbus("jobs", "watch", job_of(world))
    assert (watched.exit_code, "finished" in watched.output) == (0, True)
