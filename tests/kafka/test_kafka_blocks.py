"""A block of Edge Impulse whose work is done by a cluster on a real broker."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from labelbus_simulator import Fault

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]
KEY = "ei_" + "7" * 32
OBJECTS = (("red", "circle"), ("blue", "square"))
PROMPT = r"red circle (red circle, 0.45)\nblue square (blue square, 0.45)"
PROGRAM = (sys.executable, "-c", "from labelbus_cli.main import run; run()")


def block(cluster: Any, ids: Sequence[int], *arguments: str, **changes: str) -> "subprocess.Popen[str]":
    """Start a block as its container does: it knows the project's key, an address and a token only."""
    folder = cluster.folder / "block"
    folder.mkdir(exist_ok=True)
    (folder / "ids.json").write_text(json.dumps(list(ids)))
    theirs = ("LABELBUS_", "EI_", "KAFKA_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    environ |= {
        "EI_API_ENDPOINT": cluster.environ["EI_API_ENDPOINT"],
        "EI_PROJECT_API_KEY": KEY,
        "LABELBUS_HOME": str(folder / "home"),
        "LABELBUS_DETECTOR_MODEL": "toy",
        "OMP_NUM_THREADS": "1",
    }
    command = (*PROGRAM, "block", "owl-vit", "--data-ids-file", "ids.json", "--prompt", PROMPT, *arguments)
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environ | changes,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_a_block_is_killed_and_an_equal_one_goes_on(cluster: Any) -> None:
    """Killed -9, its job pauses; the next preview is as one process makes it; nothing is computed twice."""
    project = cluster.studio.add_project("Blocks", key=KEY)
    ids = project.add_images(60, objects=OBJECTS)
    previews = [project.add_job() for _ in range(3)]
    cluster.need("detector", "committer")
    dispatcher = cluster.start(
        "dispatcher", name="dispatcher-9", environ={"LABELBUS_DISPATCHER_KEEPER_S": "4"}
    )
    names = [name for name in cluster.processes if name.startswith("dispatcher") and name != "dispatcher-9"]
    for name in names:
        cluster.kill(name)
    cluster.until_ready("dispatcher-9", "detector-1", "committer-1")
    there = {"LABELBUS_URL": dispatcher.url, "LABELBUS_TOKEN": "lb_of_the_tests"}

    cluster.studio.fault(Fault("latency", route="get-image", latency_s=6.0))
    first = block(cluster, ids, "--propose-actions", str(previews[0].id), **there)
    cluster.until(lambda: previews[0].proposals, "some are proposed")
    first.kill()
    first.communicate(timeout=30)
    state = "SELECT job_id, state, reason FROM jobs WHERE project_id = :project"
    cluster.until(lambda: cluster.sql(state, project=project.id)[0].state == "paused", "its job is paused")
    [row] = cluster.sql(state, project=project.id)
    assert "Run it again" in row.reason
    computed = len(previews[0].proposals)
    cluster.studio.faults.clear()
    cluster.studio.calls.reset()

    second = block(cluster, ids, "--propose-actions", str(previews[1].id), **there)
    said, _ = second.communicate(timeout=120)
    assert (second.returncode, f"Going on with job {row.job_id}" in said) == (0, True), said
    assert {sample for _, sample in previews[1].proposals} == set(ids)
    assert cluster.studio.calls.by_route["get-image"] <= len(ids) - computed
    alone = block(cluster, ids, "--propose-actions", str(previews[2].id))
    said, _ = alone.communicate(timeout=120)
    assert alone.returncode == 0, said
    staged = [{sample: changes for (_, sample), changes in one.proposals.items()} for one in previews[1:]]
    assert staged[0] == staged[1]
    cluster.until(lambda: not secrets_of(cluster), "the keys of the blocks are forgotten")
    assert not any(KEY in path.read_text() for path in cluster.folder.glob("*.log"))
    cluster.kill("dispatcher-9", by=signal.SIGTERM)


def secrets_of(cluster: Any) -> Sequence[Any]:
    """Return what the ledger keeps of blocks."""
    rows: Sequence[Any] = cluster.sql("SELECT name FROM secrets WHERE name LIKE 'keeper-%'")
    return rows
