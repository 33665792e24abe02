"""Interrupted: by kill -9, SIGTERM or Ctrl-C. Running again goes on, and nothing is written twice."""

import signal
from collections import Counter

import pytest
from labelbus_cli.testing import World, kill, until
from labelbus_simulator import Fault

ENDING = [pytest.param(signal.SIGKILL, id="kill-9"), pytest.param(signal.SIGTERM, id="sigterm")]


@pytest.mark.parametrize("number", ENDING)
def test_running_again_goes_on(world: World, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A process ends while it writes; the next one writes what is missing, each sample once.

    Nobody waits for the claims of a process that is known to be dead: they would last for an hour.
    """
    monkeypatch.setenv("LABELBUS_CLAIM_S", "3600")
    world.add(16)
    slow = world.studio.faults.add(Fault("latency", route="set-boxes", latency_s=0.4, skip=4))
    action, ids = world.action_file(), world.ids_file()
    process = world.started("run", action, "--data-ids-file", ids, "--apply", "--yes")
    until(lambda: len(world.written("set-boxes")) >= 3 or process.poll() is not None)
    said = kill(process, number)
    assert process.returncode == (1 if number == signal.SIGTERM else -signal.SIGKILL), said
    world.studio.faults.remove(slow)
    again = world.started("run", action, "--data-ids-file", ids, "--apply", "--yes")
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    if Counter(world.written("set-metadata")) != dict.fromkeys(world.ids, 1):
        assert "Going on with job" in output
    assert Counter(world.written("set-boxes")) == dict.fromkeys(world.ids, 1)
    assert all(world.project.samples[one].metadata["labeled_by"] == "owlv2" for one in world.ids)


def test_an_ended_job_is_not_taken_up(world: World) -> None:
    """The same command after a finished job starts a new one; so does --new after an interrupted one."""
    first, second = world.run("--sample", "2"), world.run("--sample", "2")
    assert first.exit_code == second.exit_code == 0
    assert "Going on" not in second.output


def test_a_second_ctrl_c_ends_at_once(world: World) -> None:
    """The first waits for the writes that run, the second does not; running again finishes the job.

    Meanwhile the job is called what it is, and nobody who watches it waits for ever.
    """
    world.studio.faults.add(Fault("latency", route="set-boxes", latency_s=8))
    ids = world.ids_file()
    process = world.started("run", world.action_file(), "--data-ids-file", ids, "--apply", "--yes")
    until(lambda: bool(world.written("set-boxes")) or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert any("Finishing what runs" in line for line in process.stdout)
    said = kill(process, signal.SIGINT)
    assert (process.returncode, "Interrupted." in said) == (1, True)
    watched = world.labelbus("jobs", "watch", "last")
    assert (watched.exit_code, "was interrupted" in watched.output) == (1, True)
    assert "interrupted" in world.labelbus("jobs", "list").output
    world.studio.faults.clear()
    again = world.run("--apply", "--yes")
    assert again.exit_code == 0, again.output
    assert "Going on with job" in again.output
    assert all(world.project.samples[one].metadata["labeled_by"] == "owlv2" for one in world.ids)


def test_what_is_finished_after_ctrl_c_is_kept(world: World) -> None:
    """Samples that were being labeled at the first Ctrl-C are labeled; running again only stages them."""
    world.studio.faults.add(Fault("latency", route="get-image", latency_s=2))
    process = world.started("run", world.action_file(), "--data-ids-file", world.ids_file())
    asked = world.studio.calls.by_route
    until(lambda: asked["get-image"] == len(world.ids) or process.poll() is not None)
    said = kill(process, signal.SIGINT)
    assert (process.returncode, f"was interrupted: {len(world.ids)} labeled." in said) == (1, True), said
    again = world.run()
    assert (again.exit_code, "Going on with job" in again.output) == (0, True)


def test_nobody_who_interrupts_waits_for_the_model(world: World) -> None:
    """Ctrl-C while the model loads ends the command; there is no job yet."""
    process = world.started("run", world.action_file())
    assert process.stdout is not None
    assert any(line.startswith("Job ") for line in process.stdout)
    said = kill(process, signal.SIGINT)
    assert (process.returncode, "Interrupted" in said) == (1, True)
    assert "There is no job yet" in world.labelbus("jobs", "list").output
