"""A simulated Studio with a source project, and tasks that reach it by a named secret."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from labelbus_classifier.parameters import PretrainedParameters
from labelbus_contracts.ids import JobId, ProjectId, SampleId, SecretName
from labelbus_contracts.labels import Base, LabelingMethod, LabelSet, SampleFacts
from labelbus_labeling.labeler import LabelTask
from labelbus_labeling.testing import HEIGHT, WIDTH, GivenMedia, picture
from labelbus_simulator import Project, Studio, serve
from labelbus_studio.client import StudioClient, StudioClients
from labelbus_studio.settings import StudioSettings
from pydantic import SecretStr

KEY = "ei_" + "5" * 32


@dataclass(slots=True)
class Elsewhere:
    """The source project, and what opens it."""

    studio: Studio
    project: Project
    clients: StudioClients
    opened: list[str] = field(default_factory=list)

    async def open(self, secret: SecretName) -> StudioClient:
        """Open the one secret there is."""
        self.opened.append(secret)
        return self.clients.get(SecretStr(KEY))

    def asked(self, route: str) -> int:
        """Return how often a route was called."""
        return self.studio.calls.by_route[route]


@pytest.fixture
def studio() -> Iterator[tuple[Studio, str]]:
    """Serve a Studio."""
    made = Studio()
    with serve(made) as endpoint:
        yield made, endpoint


@pytest.fixture
async def elsewhere(studio: tuple[Studio, str]) -> AsyncIterator[Elsewhere]:
    """Give a source project that detects."""
    made, endpoint = studio
    project = made.add_project("Source", key=KEY)
    clients = StudioClients(StudioSettings(endpoint=endpoint, retry_within_s=0))
    yield Elsewhere(made, project, clients)
    await clients.aclose()


@pytest.fixture
def task(elsewhere: Elsewhere) -> Callable[..., LabelTask]:
    """Make a task of parameters."""

    def make(
        *,
        method: LabelingMethod = "object_detection",
        draft: LabelSet | None = None,
        image: bytes | None = None,
        **parameters: object,
    ) -> LabelTask:
        labels = draft or LabelSet()
        facts = SampleFacts(kind="image", width=WIDTH, height=HEIGHT, labeling_method=method)
        return LabelTask(
            job_id=JobId("job"),
            project_id=ProjectId(1),
            sample_id=SampleId(42),
            base=Base(sample=facts, labels=labels, read_at=datetime(2026, 1, 1, tzinfo=UTC)),
            draft=labels,
            parameters=PretrainedParameters.model_validate({"source_secret": "env:SOURCE", **parameters}),
            source="pretrained#0",
            media=GivenMedia(picture() if image is None else image),
            studio=elsewhere.open,
        )

    return make


@pytest.fixture
def reaching(elsewhere: Elsewhere) -> Callable[[LabelTask], LabelTask]:
    """Let a task of the conformance suite reach the source."""
    return lambda one: replace(one, studio=elsewhere.open)
