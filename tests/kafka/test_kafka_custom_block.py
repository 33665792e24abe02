"""Custom blocks as a step on a real broker: what workers may run, secrets of the ledger, one write."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]
BLOCK = f"{sys.executable} {Path(__file__).parents[1] / 'journeys/blocks/with_plain_http.py'}"
TOKEN = "hf_the-token-of-somebody"


def action(command: str) -> str:
    """Return an action of one step."""
    parameters = {"command": command, "secrets": {"TOKEN": "ledger:their-token"}, "propose": False}
    parameters["environment"] = {"TROUBLE": "exit:0"}
    step = {"labeler": "custom-block", "parameters": parameters}
    return json.dumps({"name": "somebody's block", "steps": [step]})


def test_a_block_on_a_cluster(cluster: Any) -> None:
    """It labels by a worker that may run it; a command that is not on the worker's list pauses its job."""
    ids = cluster.project.add_images(6, seed=len(cluster.project.samples))
    cluster.keep("their-token", TOKEN, cluster.project)
    cluster.need("dispatcher", "committer")
    cluster.start("labeler custom-block", environ={"LABELBUS_CUSTOM_BLOCK_COMMANDS": BLOCK})
    cluster.until_ready("custom-block-1", "dispatcher-1", "committer-1")
    cluster.watch(cluster.submit(ids, "--apply", action=action(BLOCK)))
    assert cluster.writes("set-boxes", ids) == dict.fromkeys(ids, 1)
    assert {cluster.project.samples[one].metadata["found"] for one in ids} == {"0"}

    refused = cluster.submit(ids, "--apply", action=action("rm -rf labels"))
    assert "may not run 'rm -rf labels'" in " ".join(cluster.watch(refused, state="paused").split())
    cluster.labelbus("jobs", "cancel", refused)
    assert TOKEN not in cluster.logs()
