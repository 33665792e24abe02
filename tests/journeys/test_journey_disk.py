"""The ledger's disk is full, or another program locks the ledger, in the middle of a job."""

import resource
import sqlite3
import subprocess
from collections import Counter

from labelbus_cli.testing import World, until
from labelbus_simulator import Fault


def test_a_full_disk_is_waited_out(world: World) -> None:
    """No write to the ledger succeeds for a while; then the job ends right, every sample written once."""
    world.add(24)
    world.studio.fault(Fault("latency", route="get-image", latency_s=0.2))
    action, ids = world.action_file(), world.ids_file()
    process = world.started("run", action, "--data-ids-file", ids, "--apply", "--yes")
    until(lambda: len(world.written("set-boxes")) >= 2 or process.poll() is not None)
    _limit_files(process, 4096)
    said = _first_warning(process)
    _limit_files(process, resource.RLIM_INFINITY)
    rest, _ = process.communicate(timeout=90)
    assert process.returncode == 0, said + rest
    assert "The ledger" in said
    assert Counter(world.written("set-boxes")) == dict.fromkeys(world.ids, 1)


def test_a_locked_ledger_is_waited_out(world: World) -> None:
    """Another program holds the lock for longer than SQLite waits by itself; nothing is lost or repeated."""
    world.studio.fault(Fault("latency", route="set-boxes", latency_s=0.3, skip=2))
    action, ids = world.action_file(), world.ids_file()
    process = world.started("run", action, "--data-ids-file", ids, "--apply", "--yes")
    until(lambda: len(world.written("set-boxes")) >= 2 or process.poll() is not None)
    other = sqlite3.connect(world.folder / "home" / "ledger.db", isolation_level=None, timeout=30)
    other.execute("BEGIN IMMEDIATE")
    said = _first_warning(process)
    other.execute("ROLLBACK")
    other.close()
    rest, _ = process.communicate(timeout=90)
    assert process.returncode == 0, said + rest
    assert "is locked by another process. Try again in a moment." in said
    assert Counter(world.written("set-boxes")) == dict.fromkeys(world.ids, 1)


def _limit_files(process: "subprocess.Popen[str]", most: int) -> None:
    """Let no write of the process reach beyond `most` bytes of a file, as a full disk would."""
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, hard))


def _first_warning(process: "subprocess.Popen[str]") -> str:
    """Return what the process prints until it complains of the ledger."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "The ledger" in line:
            break
    return "".join(lines)
