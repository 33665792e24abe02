"""A cluster of real processes: Apache Kafka, PostgreSQL, a simulated Studio, and the services themselves.

Processes are dear, so that one cluster serves all tests of a session; each test starts the services that it
needs and that do not run yet, and brings samples of its own.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from labelbus_cli.main import app
from labelbus_ledger.engine import Ledger, LedgerSettings
from labelbus_simulator import Fault, Project, SimulatorOptions, Studio, serve
from labelbus_simulator.models import Desk, huggingface_app, openai_app, serve_model
from labelbus_simulator.project import LabelingMethod
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection
from typer.testing import CliRunner

KEY = "ei_" + "1" * 32
MODEL_KEY = "sk-of-the-tests"
OBJECTS = (("red", "circle"), ("blue", "square"), ("green", "triangle"))
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
_START = (sys.executable, "-c", "from labelbus_cli.main import run; run()", "start")
_FASTSTREAM = (sys.executable, "-m", "faststream", "run")
_OWN = ("LABELBUS_", "EI_", "OPENAI_", "AZURE_", "HF_", "BEAM_")


@dataclass(slots=True)
class Process:
    """A service that runs, and where it answers /ready."""

    popen: subprocess.Popen[bytes]
    url: str

    def ready(self) -> str:
        """Return what it says about its readiness; "" while it does not answer."""
        try:
            return httpx.get(f"{self.url}/ready", timeout=2).text
        except httpx.HTTPError:
            return ""


@dataclass(slots=True)
class Cluster:
    """Services as processes of their own, each of which a test may kill.

    `openai` and `huggingface` are the desks of the model services that labelers ask.
    """

    broker: Any
    studio: Studio
    project: Project
    folder: Path
    environ: dict[str, str]
    openai: Desk
    huggingface: Desk
    processes: dict[str, Process] = field(default_factory=dict)

    def start(
        self,
        service: str,
        *,
        name: str | None = None,
        process: str | None = None,
        by_faststream: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a service, or `labeler NAME`, under a name that it keeps; it need not be ready yet."""
        name = name or f"{service.split()[-1]}-1"
        port = _free_port()
        command = (
            (*_FASTSTREAM, f"labelbus_{service}.app:app", "--port", str(port))
            if by_faststream
            else (*_START, *service.split(), "--port", str(port))
        )
        with (self.folder / f"{process or name}.log").open("ab") as log:
            popen = subprocess.Popen(
                command,
                env={**self.environ, "LABELBUS_INSTANCE": name, **(environ or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        started = Process(popen, f"http://127.0.0.1:{port}")
        self.processes[process or name] = started
        return started

    def need(self, *services: str) -> None:
        """Start what does not run yet."""
        for service in services:
            if f"{service.split()[-1]}-1" not in self.processes:
                self.start(service)

    def kill(self, name: str, *, by: signal.Signals = signal.SIGKILL) -> None:
        """End a process: at once, as a power cut would, unless `by` says otherwise."""
        popen = self.processes.pop(name).popen
        popen.send_signal(by)
        popen.wait(timeout=40)

    def labelbus(self, *arguments: str, given: str | None = None, **environ: str) -> str:
        """Run a command against the cluster and return what it prints; it must succeed."""
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(app, arguments, env={**self.environ, **environ}, input=given)
        assert done.exit_code == 0, f"{arguments}: {done.output}\n{done.exception!r}\n{self.logs()}"
        return done.stdout.strip()

    def add_project(self, name: str, method: LabelingMethod) -> Project:
        """Add a project whose key the ledger knows by the name `main`, as every project's."""
        project = self.studio.add_project(name, method)
        self.keep("main", project.key, project)
        return project

    def keep(self, name: str, key: str, project: Project) -> None:
        """Seal a key in the ledger for the jobs of a project."""
        self.labelbus("secrets", "put", name, "--project", str(project.id), given=key)

    def submit(
        self,
        ids: Sequence[int],
        *options: str,
        action: str = ACTION,
        project: Project | None = None,
        **environ: str,
    ) -> str:
        """Submit an action for these samples; return the job's id."""
        (self.folder / "action.yaml").write_text(action)
        (self.folder / "ids.json").write_text(json.dumps(list(ids)))
        number = str((project or self.project).id)
        given = ("--project", number, "--secret", "ledger:main", "--data-ids-file", "ids.json")
        return self.labelbus("submit", "action.yaml", *given, *options, **environ).splitlines()[-1]

    def watch(self, job_id: str, *, state: str = "finished") -> str:
        """Wait until a job has ended so; return what `jobs show` says."""
        self.until(lambda: self.state(job_id)[0] == state, f"job {job_id} is {state}")
        return self.labelbus("jobs", "show", job_id)

    def state(self, job_id: str) -> tuple[str, int]:
        """Return a job's state and the number of its samples; ("", 0) for one that nobody has taken up."""
        found = self.sql("SELECT state, total FROM jobs WHERE job_id = :job_id", job_id=job_id)
        return (found[0].state, found[0].total or 0) if found else ("", 0)

    def sql(self, statement: str, **values: object) -> Sequence[Any]:
        """Return the rows of a query in the ledger."""

        async def ask() -> Sequence[Any]:
            async with self._connection() as connection:
                return (await connection.execute(sa.text(statement), values)).all()

        return asyncio.run(ask())

    def until(self, holds: Callable[[], object], what: str, *, within_s: float = 200.0) -> None:
        """Wait until something holds; fail with the services' logs."""
        end = time.monotonic() + within_s
        while not holds():
            for name, process in self.processes.items():
                assert process.popen.poll() is None, f"{name} ended by itself\n{self.logs()}"
            assert time.monotonic() < end, f"{what}: not within {within_s} s\n{self.logs()}"
            time.sleep(0.1)

    def until_ready(self, *names: str) -> None:
        """Wait until these processes say that they are ready."""
        for name in names:
            process = self.processes[name]
            self.until(partial(_is_ready, process), f"{name} is ready")

    def writes(self, route: str, ids: Sequence[int]) -> Counter[int]:
        """Return how often each of these samples was written by a route."""
        wanted = set(ids)
        writes = self.studio.calls.writes
        return Counter(w["sample"] for w in writes if w["route"] == route and w["sample"] in wanted)

    def logs(self) -> str:
        """Return the end of every service's log."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text()[-2000:]}" for path in sorted(self.folder.glob("*.log"))
        )

    def close(self) -> None:
        """Stop what still runs."""
        for process in self.processes.values():
            process.popen.kill()
        for process in self.processes.values():
            process.popen.wait(timeout=10)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        url = SecretStr(self.environ["LABELBUS_DATABASE_URL"])
        ledger = await Ledger.open(LedgerSettings(database_url=url))
        try:
            async with ledger.read() as connection:
                yield connection
        finally:
            await ledger.close()


@pytest.fixture(scope="session")
def shared_cluster(
    real_kafka: Any, postgres: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Return a cluster whose ledger is migrated and knows the project's key; no service runs yet."""
    folder = tmp_path_factory.mktemp("cluster")
    studio = Studio(SimulatorOptions())
    project = studio.add_project("Shapes", key=KEY)
    openai, huggingface = Desk(key=MODEL_KEY), Desk(key=MODEL_KEY)
    with (
        serve(studio) as endpoint,
        serve_model(openai_app(openai)) as vision,
        serve_model(huggingface_app(huggingface)) as ears,
    ):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
        environ = {
            **kept,
            "KAFKA_BOOTSTRAP_SERVERS": real_kafka.bootstrap_servers,
            "LABELBUS_KAFKA_TOPIC_PREFIX": f"t{secrets.token_hex(4)}.",
            "LABELBUS_DATABASE_URL": postgres.new_database(),
            "LABELBUS_SECRET_KEYS": Fernet.generate_key().decode(),
            "LABELBUS_HOME": str(folder / "home"),
            "LABELBUS_CACHE": str(folder / "blobs"),
            "LABELBUS_DETECTOR_MODEL": "toy",
            "LABELBUS_DISPATCHER_LEASE_S": "3",
            "LABELBUS_CLAIM_S": "6",
            "LABELBUS_ATTEMPT_S": "4",
            "LABELBUS_API_TOKEN": "lb_of_the_tests",
            "EI_API_ENDPOINT": endpoint,
            "OPENAI_BASE_URL": f"{vision}/v1",
            "OPENAI_API_KEY": MODEL_KEY,
            "OPENAI_MODEL": "simulated",
            "HF_INFERENCE_ENDPOINT": f"{ears}/ast",
            "HF_API_KEY": MODEL_KEY,
            "OMP_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore",
        }
        made = Cluster(real_kafka, studio, project, folder, environ, openai, huggingface)
        made.labelbus("ledger", "upgrade")
        made.keep("main", KEY, project)
        yield made
        made.close()


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Iterator[Cluster]:
    """Return the session's cluster, its Studio quick again and its calls counted anew."""
    shared_cluster.studio.calls.reset()
    shared_cluster.openai.requests.clear()
    yield shared_cluster
    shared_cluster.studio.faults.clear()
    shared_cluster.openai.latency_s = 0.0


@pytest.fixture
def slow_studio(cluster: Cluster) -> None:
    """Let every image take its time, so that there is a middle of the job to be killed in."""
    cluster.studio.fault(Fault("latency", route="get-image", latency_s=0.3))
    cluster.studio.fault(Fault("latency", route="set-boxes", latency_s=0.1))


def _is_ready(process: Process) -> bool:
    return process.ready() == "ready\n"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
