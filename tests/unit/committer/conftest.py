"""A committer between a fresh ledger and a simulated Studio, and what tests do to them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from labelbus_committer.service import Committer
from labelbus_committer.settings import CommitterSettings
from labelbus_contracts.ids import JobId, MessageId, ProjectId, SampleId, SecretName, StudioJobId
from labelbus_contracts.jobs import ActionSpec, OnConflict, StepSpec
from labelbus_contracts.labels import Base, BoundingBox, LabelSet
from labelbus_contracts.v1.commands import CommitSample, ProposeSample, SubmitJob
from labelbus_contracts.v1.message import Message
from labelbus_ledger import tables
from labelbus_ledger.access import StudioAccess
from labelbus_ledger.engine import Ledger, LedgerSettings, upgrade
from labelbus_ledger.job_states import JobStates
from labelbus_ledger.secrets import SecretStore
from labelbus_simulator import Project, Sample, Studio, StudioApp
from labelbus_studio.client import StudioClients
from labelbus_studio.samples import read_sample
from labelbus_studio.settings import StudioSettings
from pydantic import SecretStr

KEY = SecretName("env:EI_PROJECT_API_KEY")
CAT = BoundingBox(label="cat", x=10, y=20, width=30, height=40, score=0.9, source="owl-vit#0")
METADATA_AFTER = {"reviewed": "no", "round": "1"}


class Crash(Exception):
    """The process dies here."""


class Line(httpx.AsyncBaseTransport):
    """The line to Studio, on which the process dies before or after its n-th write."""

    def __init__(self, studio: Studio) -> None:
        self._inner = httpx.ASGITransport(StudioApp(studio), raise_app_exceptions=False)
        self.dies: tuple[str, int] | None = None
        self.writes = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request."""
        if request.method != "POST":
            return await self._inner.handle_async_request(request)
        self.writes += 1
        if self.dies == ("before", self.writes):
            raise Crash
        response = await self._inner.handle_async_request(request)
        if self.dies == ("after", self.writes):
            raise Crash
        return response


@dataclass
class World:
    """Everything a test needs; the committer may be replaced by a new process at any time."""

    ledger: Ledger
    studio: Studio
    project: Project
    line: Line
    access: StudioAccess
    settings: CommitterSettings = field(default_factory=CommitterSettings)

    def __post_init__(self) -> None:
        self.states = JobStates(self.ledger)
        self.restart()

    def restart(self, **settings: object) -> None:
        """Start a new process in place of the old one."""
        self.settings = self.settings.model_copy(update=settings)
        self.states = JobStates(self.ledger)
        self.committer = Committer(
            self.ledger, access=self.access, job_states=self.states, settings=self.settings
        )

    async def handle(self, message: Message) -> list[Message]:
        """Hand a message to the worker of its topic."""
        worker = next(w for w in self.committer.workers() if isinstance(message, w.topic.messages))
        return list(await worker.handle(message))

    async def ask(self, message: Message) -> Message:
        """Hand over a command; return the one answer."""
        (answer,) = await self.handle(message)
        return answer

    async def add_job(self, job_id: str = "job", **changes: object) -> None:
        """Store a running job."""
        submit = SubmitJob(
            id=MessageId("submit"),
            job_id=JobId(job_id),
            project_id=ProjectId(self.project.id),
            secret=KEY,
            action=ActionSpec(
                name="find cats", steps=(StepSpec(labeler="owl-vit"),), metadata_after=METADATA_AFTER
            ),
        )
        row = {
            "job_id": job_id,
            "project_id": self.project.id,
            "carrier": "test",
            "submit": submit.model_dump_json(),
            "fingerprint": "",
            "action_name": "find cats",
            "mode": "apply",
            "weight": 1,
            "state": "running",
            "created_at": 0.0,
            "changed_at": 1.0,
        }
        async with self.ledger.write() as connection:
            await connection.execute(sa.insert(tables.jobs), row | changes)

    async def stop_job(self, desired_state: str = "cancel") -> None:
        """Stop every job."""
        async with self.ledger.write() as connection:
            await connection.execute(sa.update(tables.jobs).values(desired_state=desired_state))

    async def lapse(self, *, at: float = 0.0) -> None:
        """Let the time of every claim be over since `at`, long ago unless given."""
        async with self.ledger.write() as connection:
            await connection.execute(sa.update(tables.claims).values(expires_at=at))
            await connection.execute(sa.update(tables.splits).values(expires_at=at))

    async def rows(self, table: sa.Table) -> list[sa.RowMapping]:
        """Return all rows of a table."""
        async with self.ledger.read() as connection:
            return list((await connection.execute(sa.select(table))).mappings())

    def add_sample(self, **fields: object) -> int:
        """Add an image to Studio and return its id."""
        (sample_id,) = self.project.add_images(1)
        sample = self.project.sample(sample_id)
        sample.boxes, sample.metadata = [], {"site": "north"}
        for name, value in fields.items():
            setattr(sample, name, value)
        return sample_id

    def sample(self, sample_id: int) -> Sample:
        """Return the simulator's sample."""
        return self.project.sample(sample_id)

    def live(self, sample_id: int) -> LabelSet:
        """Return what Studio holds."""
        return read_sample(self.project.show(self.sample(sample_id))).labels

    def base(self, sample_id: int) -> Base:
        """Return what a labeler would read now."""
        return read_sample(self.project.show(self.sample(sample_id))).base(datetime.now(UTC))

    def writes(self) -> list[str]:
        """Return the routes of what took effect in Studio, in order."""
        return [str(write["route"]) for write in self.studio.calls.writes]

    def commit(
        self,
        sample_id: int,
        *,
        draft: LabelSet | None = None,
        base: Base | None = None,
        job_id: str = "job",
        on_conflict: OnConflict = "hold",
        run: int = 1,
        attempt: int = 1,
    ) -> CommitSample:
        """Return the command to write a draft; one more cat and a note unless given."""
        base = base or self.base(sample_id)
        return CommitSample(
            id=MessageId(f"commit_sample:{job_id}:{run}:{sample_id}:{attempt}"),
            job_id=JobId(job_id),
            run=run,
            project_id=ProjectId(self.project.id),
            sample_id=SampleId(sample_id),
            attempt=attempt,
            secret=KEY,
            base=base,
            draft=draft or with_cat(base.labels),
            on_conflict=on_conflict,
        )

    def proposal(
        self, sample_id: int, *, draft: LabelSet | None = None, studio_job_id: int | None = None
    ) -> ProposeSample:
        """Return the command to propose a draft; one more cat and a note unless given."""
        base = self.base(sample_id)
        return ProposeSample(
            id=MessageId(f"propose_sample:job:1:{sample_id}:1"),
            job_id=JobId("job"),
            project_id=ProjectId(self.project.id),
            sample_id=SampleId(sample_id),
            secret=KEY,
            studio_job_id=None if studio_job_id is None else StudioJobId(studio_job_id),
            base=base,
            draft=with_cat(base.labels) if draft is None else draft,
        )


def with_cat(labels: LabelSet) -> LabelSet:
    """Return the labels with one more cat, and a note in the metadata."""
    return labels.model_copy(
        update={"boxes": (*labels.boxes, CAT), "metadata": {**labels.metadata, "labeled_by": "owlv2"}}
    )


@pytest.fixture(scope="session")
def shared_database(postgres: Any) -> str:
    """Return the URL of one database for all tests of this folder; they empty it."""
    return str(postgres.new_database())


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    """A migrated, empty ledger."""
    if request.param == "sqlite":
        settings = LedgerSettings(home=tmp_path)
    else:
        settings = LedgerSettings(database_url=SecretStr(request.getfixturevalue("shared_database")))
    await upgrade(settings)
    opened = await Ledger.open(settings)
    async with opened.write() as connection:
        for table in (
            tables.jobs, tables.claims, tables.splits, tables.proposals, tables.commits, tables.label_events,
        ):  # fmt: skip
            await connection.execute(sa.delete(table))
    yield opened
    await opened.close()


@pytest.fixture
async def world(ledger: Ledger) -> AsyncIterator[World]:
    """A running job, an empty project, and a committer that retries nothing by itself."""
    studio = Studio()
    project = studio.add_project()
    line = Line(studio)
    studio_settings = StudioSettings(endpoint="http://studio/v1", retry_within_s=0.0, timeout_s=5.0)
    clients = StudioClients(studio_settings, transport=line)
    secrets = SecretStore(ledger, allow_env=True, keys=None, environ={"EI_PROJECT_API_KEY": project.key})
    one = World(ledger, studio, project, line, StudioAccess(clients, secrets))
    await one.add_job()
    yield one
    await one.committer.stop()
    await clients.aclose()
