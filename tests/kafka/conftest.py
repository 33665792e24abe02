"""A cluster of real processes: Apache Kafka, PostgreSQL, a simulated Studio, and the services themselves."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from labelbus_simulator import Fault, Project, SimulatorOptions, Studio, serve

KEY = "ei_" + "1" * 32
ACTION = """\
name: shapes
steps:
  - labeler: owl-vit
    parameters:
      prompt: |
        red circle (red circle, 0.45)
        blue square (blue square, 0.45)
        green triangle (green triangle, 0.45)
      nms: true
metadata_after:
  labelbus-reviewed: "no"
"""
_LABELBUS = (sys.executable, "-c", "from labelbus_cli.main import run; run()")


@dataclass(slots=True)
class Cluster:
    """Services as processes of their own, each of which a test may kill."""

    studio: Studio
    project: Project
    folder: Path
    environ: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, service: str, *, name: str | None = None) -> None:
        """Start a service under an instance name that it keeps after a restart."""
        name = name or f"{service}-1"
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*_LABELBUS, "start", service, "--port", "0"],
                env={**self.environ, "LABELBUS_INSTANCE": name},
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )

    def kill(self, service: str, *, name: str | None = None) -> None:
        """Kill a service at once, as a power cut would."""
        process = self.processes.pop(name or f"{service}-1")
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)

    def labelbus(self, *arguments: str, given: str | None = None, within_s: float = 60) -> str:
        """Run a command against the cluster and return what it prints; it must succeed."""
        done = subprocess.run(
            [*_LABELBUS, *arguments],
            env=self.environ,
            input=given,
            capture_output=True,
            text=True,
            timeout=within_s,
            cwd=self.folder,
        )
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        return done.stdout.strip()

    def submit(self, ids: Sequence[int], *options: str) -> str:
        """Submit the action for these samples; return the job's id."""
        (self.folder / "action.yaml").write_text(ACTION)
        (self.folder / "ids.json").write_text(json.dumps(list(ids)))
        project = ("--project", str(self.project.id), "--secret", "ledger:shapes")
        return self.labelbus(
            "submit", "action.yaml", *project, "--data-ids-file", "ids.json", *options
        ).splitlines()[-1]

    def until(self, holds: Callable[[], bool], what: str, *, within_s: float = 150.0) -> None:
        """Wait until something holds; fail with the services' logs."""
        end = time.monotonic() + within_s
        while not holds():
            for name, process in self.processes.items():
                assert process.poll() is None, f"{name} ended by itself\n{self.logs()}"
            assert time.monotonic() < end, f"{what}: not within {within_s} s\n{self.logs()}"
            time.sleep(0.05)

    def writes(self, route: str) -> list[int]:
        """Return the samples of the writes of one route, in order."""
        return [write["sample"] for write in self.studio.calls.writes if write["route"] == route]

    def logs(self) -> str:
        """Return the end of every service's log."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.log"))
        )

    def close(self) -> None:
        """Stop what still runs."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait(timeout=10)


@pytest.fixture
def cluster(real_kafka: Any, postgres_url: str, tmp_path: Path) -> Iterator[Cluster]:
    """Return a cluster whose ledger is migrated and knows the project's key; no service runs yet."""
    studio = Studio(SimulatorOptions())
    project = studio.add_project("Shapes", key=KEY)
    with serve(studio) as endpoint:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("LABELBUS_", "EI_"))
        }
        environ = {
            **kept,
            "KAFKA_BOOTSTRAP_SERVERS": real_kafka.bootstrap_servers,
            "LABELBUS_KAFKA_TOPIC_PREFIX": f"t{secrets.token_hex(4)}.",
            "LABELBUS_DATABASE_URL": postgres_url,
            "LABELBUS_SECRET_KEYS": Fernet.generate_key().decode(),
            "LABELBUS_HOME": str(tmp_path / "home"),
            "LABELBUS_DETECTOR_MODEL": "toy",
            "LABELBUS_DISPATCHER_LEASE_S": "3",
            "LABELBUS_CLAIM_S": "6",
            "LABELBUS_ATTEMPT_S": "4",
            "EI_API_ENDPOINT": endpoint,
            "OMP_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore",
        }
        made = Cluster(studio, project, tmp_path, environ)
        made.labelbus("ledger", "upgrade")
        made.labelbus("secrets", "put", "shapes", "--project", str(project.id), given=KEY)
        yield made
        made.close()


@pytest.fixture
def slow_studio(cluster: Cluster) -> None:
    """Let every image take its time, so that there is a middle of the job to be killed in."""
    cluster.studio.fault(Fault("latency", route="get-image", latency_s=0.3))
    cluster.studio.fault(Fault("latency", route="set-boxes", latency_s=0.1))
