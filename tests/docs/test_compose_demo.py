"""The profiles of compose.yaml: a demonstration that needs no account, and a dashboard of real metrics."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet
from dotenv import dotenv_values
from labelbus_cli.actions import read_action
from labelbus_cli.labelers import all_labelers
from labelbus_runtime.metrics import NAMES


@pytest.fixture(scope="module")
def compose(root: Path) -> dict[str, Any]:
    """Return compose.yaml, its merges done."""
    parsed: dict[str, Any] = yaml.safe_load((root / "compose.yaml").read_text())
    return parsed


def test_the_demonstration_can_be_submitted(compose: dict[str, Any], tmp_path: Path) -> None:
    """Its action is valid, its key is the simulator's, and it waits for all who take part."""
    (tmp_path / "action.yaml").write_text(compose["configs"]["demo-action"]["content"])
    assert read_action(tmp_path / "action.yaml", all_labelers()).steps[0].labeler == "owl-vit"
    submit, simulator = compose["services"]["demo-submit"], compose["services"]["simulator"]
    key = simulator["command"][simulator["command"].index("--key") + 1]
    assert f"echo {key} | labelbus secrets put" in submit["command"][-1]
    assert submit["depends_on"].keys() == {"simulator", "dispatcher", "detector", "committer"}


def test_the_demonstration_speaks_to_the_simulator(compose: dict[str, Any], root: Path) -> None:
    """The environment file that goes with it names the simulator's address and a usable key."""
    given = dotenv_values(root / "compose.demo.env")
    simulator = compose["services"]["simulator"]["command"]
    assert given["EI_API_ENDPOINT"] == f"http://simulator:{simulator[simulator.index('--port') + 1]}/v1"
    Fernet(given["LABELBUS_SECRET_KEYS"] or "")


def test_no_service_has_a_fixed_name(compose: dict[str, Any]) -> None:
    """A service may be scaled: Kafka lets only one process have a name."""
    assert [s for s in compose["services"].values() if "LABELBUS_INSTANCE" in s.get("environment", {})] == []


def test_the_dashboard_shows_metrics_that_exist(compose: dict[str, Any], root: Path) -> None:
    """Every metric in an expression is one of ours."""
    dashboard = json.loads((root / compose["configs"]["grafana-labelbus"]["file"]).read_text())
    text = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    shown = {re.sub("_(total|bucket)$", "", name) for name in re.findall(r"labelbus_\w+", text)}
    assert shown
    assert shown <= NAMES
