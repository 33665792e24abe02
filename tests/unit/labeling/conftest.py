"""A labeler that boxes whole pictures, and its service against a simulated Studio."""

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from labelbus_contracts.ids import JobId, ProjectId, SampleId, SecretName
from labelbus_contracts.labels import BoundingBox
from labelbus_contracts.v1.commands import LabelSample
from labelbus_contracts.v1.message import message_id
from labelbus_labeling.cache import BlobCache
from labelbus_labeling.each import label_each
from labelbus_labeling.labeler import Labeled, Labeler, LabelerParameters, LabelTask, Registration
from labelbus_labeling.service import LabelerService
from labelbus_ledger.access import StudioAccess
from labelbus_ledger.engine import Ledger, LedgerSettings
from labelbus_ledger.job_states import JobStates
from labelbus_ledger.secrets import SecretStore
from labelbus_ledger.tables import jobs
from labelbus_runtime.errors import SampleRefused
from labelbus_simulator import Project, Studio, StudioApp
from labelbus_studio import StudioClients, StudioSettings
from PIL import Image, UnidentifiedImageError

KEY = "ei_0123456789abcdef"


class FrameParameters(LabelerParameters):
    """What to call the box, and how much smaller than the picture it is."""

    label: str
    inset: int = 0


@dataclass
class FrameLabeler:
    """Implements `Labeler`: one box around the whole picture. Raises what `fails` holds for a sample."""

    batches: list[int] = field(default_factory=list)
    fails: dict[int, Exception] = field(default_factory=dict)
    is_open: bool = False

    async def open(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    async def label(self, batch: Sequence[LabelTask]) -> Sequence[Labeled | Exception]:
        if batch:
            self.batches.append(len(batch))
        return await label_each(batch, self._label)

    async def _label(self, task: LabelTask) -> Labeled:
        if task.sample_id in self.fails:
            raise self.fails[task.sample_id]
        assert isinstance(task.parameters, FrameParameters)
        try:
            width, height = Image.open(io.BytesIO(await task.media.image())).size
        except UnidentifiedImageError:
            raise SampleRefused(f"Sample {task.sample_id} is no picture.", code="no_picture") from None
        inset = task.parameters.inset
        box = BoundingBox(
            label=task.parameters.label,
            x=inset,
            y=inset,
            width=width - 2 * inset,
            height=height - 2 * inset,
            source=task.source,
        )
        return Labeled(task.draft.model_copy(update={"boxes": (*task.draft.boxes, box)}), model="frame")


def frame_registration() -> Registration:
    """Register the labeler."""
    return Registration(
        name="frame",
        title="A box around the picture",
        operates_on=frozenset({"images_object_detection"}),
        parameters=FrameParameters,
        make=_make,
        capacity=16,
        max_batch=4,
    )


def _make(environ: Mapping[str, str]) -> Labeler:
    return FrameLabeler()


@dataclass
class Bench:
    """A service with everything around it, and the means to ask it."""

    service: LabelerService
    labeler: FrameLabeler
    ledger: Ledger
    states: JobStates
    studio: Studio
    project: Project

    def ask(self, sample_id: int, **changes: object) -> LabelSample:
        """Return a command for one sample, without a base."""
        ids = {"job_id": "job", "run": 1, "sample_id": sample_id, "step": 0, "attempt": 1}
        command = LabelSample(
            id=message_id("label_sample", *ids.values()),
            job_id=JobId("job"),
            project_id=ProjectId(self.project.id),
            sample_id=SampleId(sample_id),
            secret=SecretName("env:EI_KEY"),
            labeler="frame",
            parameters={"label": "thing"},
        )
        return command.model_copy(update=changes)

    async def set_job(self, **changes: object) -> None:
        """Change the job's row, and let the service see it."""
        async with self.ledger.write() as connection:
            await connection.execute(sa.update(jobs).values(**changes))
        await self.states.refresh()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A running job on a project of twelve pictures."""
    studio = Studio()
    project = studio.add_project(key=KEY)
    project.add_images(12, seed=5)
    ledger = await Ledger.open(LedgerSettings(home=tmp_path))
    row = {
        "job_id": "job", "project_id": project.id, "carrier": "c", "submit": "{}", "fingerprint": "f",
        "action_name": "a", "mode": "preview", "state": "running", "created_at": 1.0, "changed_at": 1.0,
    }  # fmt: skip
    async with ledger.write() as connection:
        await connection.execute(sa.insert(jobs), [row])
    settings = StudioSettings(endpoint="http://studio.test/v1", retry_within_s=0.0)
    clients = StudioClients(settings, transport=httpx.ASGITransport(StudioApp(studio)))
    secrets = SecretStore(ledger, allow_env=True, keys=None, environ={"EI_KEY": KEY})
    states, labeler = JobStates(ledger), FrameLabeler()
    service = LabelerService(
        frame_registration(),
        labeler,
        access=StudioAccess(clients, secrets),
        job_states=states,
        ledger=ledger,
        carrier_id="c",
        instance="one",
        cache=BlobCache(),
    )
    yield Bench(service, labeler, ledger, states, studio, project)
    await clients.aclose()
    await ledger.close()


@pytest.fixture
async def labeler() -> AsyncIterator[Labeler]:
    """An open labeler."""
    labeler = FrameLabeler()
    await labeler.open()
    yield labeler
    await labeler.close()


@pytest.fixture
def registration() -> Registration:
    """The labeler's registration."""
    return frame_registration()
