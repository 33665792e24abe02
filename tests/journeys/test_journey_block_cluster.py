"""The block on the organisation's cluster: with an address and a token it submits, follows and ends alike."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event, Thread

import pytest
import uvicorn
from labelbus_cli.embedded import Embedded
from labelbus_cli.labelers import all_labelers
from labelbus_cli.testing import KEY, World, kill, until
from labelbus_committer.settings import CommitterSettings
from labelbus_dispatcher.api import create_api
from labelbus_ledger.access import StudioAccess
from labelbus_ledger.engine import Ledger, LedgerSettings
from labelbus_ledger.secrets import SecretStore, new_key
from labelbus_simulator import Dataset, Fault
from labelbus_studio.client import StudioClients
from labelbus_studio.settings import StudioSettings
from pydantic import SecretStr

KEEPER_S = 3.0
TOKEN = "lb_of_the_tests"
PROMPT = r"red circle (red circle, 0.45)\nblue square (blue square, 0.45)"
Started = Callable[..., str]


class Cluster(Thread):
    """A cluster in a thread: the dispatcher's own HTTP API; messages travel on queues instead of Kafka."""

    def __init__(self, home: Path, labelers: Sequence[str], *, keys: SecretStr | None) -> None:
        super().__init__(daemon=True)
        self.url = ""
        self._settings = LedgerSettings(home=home, secret_keys=keys)
        self._labelers = labelers
        self._ready = Event()
        self._server: uvicorn.Server | None = None
        self.start()
        assert self._ready.wait(60)

    def run(self) -> None:
        """Serve until stopped."""
        asyncio.run(self._serve())

    def stop(self) -> None:
        """End."""
        assert self._server is not None
        self._server.should_exit = True
        self.join(30)

    async def _serve(self) -> None:
        ledger = await Ledger.open(self._settings)
        clients = StudioClients(StudioSettings())
        store = SecretStore(ledger, allow_env=False, keys=self._settings.secret_keys)
        access = StudioAccess(clients, store)
        process = Embedded(
            ledger, access, known=all_labelers(), opened=self._labelers, committer=CommitterSettings()
        )
        await process.start()
        api = create_api(
            ledger,
            process.carrier.publish,
            token=SecretStr(TOKEN),
            carrier_id=process.carrier_id,
            keeper_s=KEEPER_S,
            secrets=store,
            access=access,
        )
        async with process:
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", 0))
                listener.listen()
                self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                self._server = uvicorn.Server(uvicorn.Config(api, log_config=None, lifespan="off"))
                self._ready.set()
                await self._server.serve(sockets=[listener])
        await clients.aclose()
        await ledger.close()


@pytest.fixture
def cluster(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    """Return a starter of a cluster with a ledger of its own; the environment then names the cluster."""
    running: list[Cluster] = []
    monkeypatch.setenv("LABELBUS_DISPATCHER_KEEPER_S", str(KEEPER_S))
    monkeypatch.setenv("LABELBUS_DISPATCHER_WINDOW_LEAST", "4")  # so that there is a middle of the job
    monkeypatch.setenv("LABELBUS_DISPATCHER_WINDOW_TIMES", "0.01")

    def start(*labelers: str, keys: bool = True) -> str:
        running.append(Cluster(world.folder / "cluster", labelers, keys=new_key() if keys else None))
        monkeypatch.setenv("LABELBUS_URL", running[-1].url)
        monkeypatch.setenv("LABELBUS_TOKEN", TOKEN)
        return running[-1].url

    yield start
    for one in running:
        one.stop()


def block(world: World, *arguments: str) -> list[str]:
    """Return the command line of a block."""
    return ["block", "owl-vit", "--data-ids-file", world.ids_file(), "--prompt", PROMPT, *arguments]


def test_the_cluster_leaves_studio_as_the_block_does(
    world: World, cluster: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels and metadata are those of a block in one process; lines and exit code too."""
    bad = world.project.add(Dataset.damaged("not-an-image"))
    world.ids += bad
    here = world.labelbus(*block(world))
    wanted = {one: (world.boxes(one), world.project.samples[one].metadata) for one in world.ids}
    for one in world.ids:
        world.project.samples[one].boxes, world.project.samples[one].metadata = [], {}
    cluster("owl-vit")
    monkeypatch.setenv("LABELBUS_HOME", str(world.folder / "unused"))
    there = world.labelbus(*block(world))
    assert {one: (world.boxes(one), world.project.samples[one].metadata) for one in world.ids} == wanted
    assert here.exit_code == there.exit_code == 1
    assert "8 committed, 1 failed" in there.output
    assert f"Labeling 9 samples of project {world.project.id} (Shapes) on the cluster" in there.output
    assert {"red circle", "blue square"} <= {line.partition(":")[0] for line in there.output.splitlines()}
    assert not (world.folder / "unused").exists()
    assert KEY not in there.output


def test_a_block_that_is_killed_pauses_its_job(world: World, cluster: Started) -> None:
    """An equal run in another preview goes on: all is staged there, nothing is computed twice."""
    world.add(56)
    cluster("owl-vit")
    world.studio.fault(Fault("latency", route="get-image", latency_s=1.0))
    first, second = world.project.add_job(), world.project.add_job()
    running = world.started(*block(world, "--propose-actions", str(first.id)))
    until(lambda: len(first.proposals) >= 5, within_s=120)
    kill(running)
    until(lambda: "paused" in world.labelbus("jobs", "list").output)
    shown = world.labelbus("jobs", "show", "last").output
    assert "Run it again, with equal arguments, to resume" in " ".join(shown.split())
    world.studio.faults.clear()
    again = world.labelbus(*block(world, "--propose-actions", str(second.id)))
    assert (again.exit_code, "Going on with job" in again.output) == (0, True), again.output
    assert {sample for _, sample in second.proposals} == set(world.ids)
    assert world.studio.calls.by_route["get-image"] <= len(world.ids) + 4  # what was in flight
    assert len(world.labelbus("jobs", "list").output.splitlines()) <= 3


def test_a_block_that_is_stopped_pauses_its_job_at_once(world: World, cluster: Started) -> None:
    """SIGTERM is said; the next run takes over without waiting, and each sample is written once."""
    world.add(56)
    cluster("owl-vit")
    world.studio.fault(Fault("latency", route="get-image", latency_s=1.0))
    running = world.started(*block(world))
    until(lambda: len(world.written("set-boxes")) >= 3, within_s=120)
    said = kill(running, signal.SIGTERM)
    assert (running.returncode, "was interrupted" in said, "to resume" in said) == (1, True, True)
    world.studio.faults.clear()
    again = world.labelbus(*block(world))
    assert (again.exit_code, "64 committed" in again.output) == (0, True), again.output
    assert sorted(world.written("set-boxes")) == sorted(world.ids)


def test_a_job_that_pauses_ends_its_block(world: World, cluster: Started) -> None:
    """Paused by a person, the block ends and says how to go on, which the next one does."""
    world.add(56)
    cluster("owl-vit")
    world.studio.fault(Fault("latency", route="get-image", latency_s=0.5))
    running = world.started(*block(world))
    until(lambda: len(world.written("set-boxes")) >= 3, within_s=120)
    assert world.labelbus("jobs", "pause", "last").exit_code == 0
    said, _ = running.communicate(timeout=60)
    assert (running.returncode, "run the block again to go on" in said) == (1, True), said
    world.studio.faults.clear()
    assert "64 committed" in world.labelbus(*block(world)).output


def test_a_wrong_environment_is_named(
    world: World, cluster: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, exit code 1, and no job."""
    cluster("owl-vit")
    wrong = {
        "refuses the token in LABELBUS_TOKEN": {"LABELBUS_TOKEN": "lb_wrong"},
        "Missing LABELBUS_TOKEN": {"LABELBUS_TOKEN": ""},
        "Give the dispatcher's address": {"LABELBUS_URL": "dispatcher:8000"},
        "no dispatcher of Labelbus": {"LABELBUS_URL": world.endpoint.removesuffix("/v1")},
        "EI_PROJECT_API_KEY": {"EI_PROJECT_API_KEY": "ei_wrong"},
    }
    for said, changes in wrong.items():
        with monkeypatch.context() as environment:
            for name, value in changes.items():
                environment.setenv(name, value)
            result = world.labelbus(*block(world))
        assert (result.exit_code, said in " ".join(result.output.split())) == (1, True), result.output
        assert "wrong" not in result.output
    assert "no job yet" in world.labelbus("jobs", "list").output


def test_what_a_cluster_lacks_is_named(
    world: World, cluster: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A labeler that does not run there, and a key to seal secrets with."""
    cluster("pretrained", keys=False)
    missing = world.labelbus(*block(world))
    assert (missing.exit_code, "No labeler 'owl-vit' runs on the cluster" in missing.output) == (1, True)
    arguments = ["block", "pretrained", "--data-ids-file", world.ids_file(), "--source-project-api-key"]
    unsealed = world.labelbus(*arguments, "ei_source")
    assert (unsealed.exit_code, "no LABELBUS_SECRET_KEYS" in unsealed.output) == (1, True), unsealed.output
    named = world.labelbus(*arguments, "env:SOURCE")
    assert (named.exit_code, "the cluster does not" in named.output) == (1, True), named.output
    assert "ei_source" not in unsealed.output
