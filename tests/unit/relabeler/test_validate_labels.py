"""`validate` tells the model the labels of the project, which it reads once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
from labelbus_contracts.ids import JobId, ProjectId
from labelbus_labeling.labeler import Labeled, LabelTask
from labelbus_relabeler import validate
from labelbus_relabeler.parameters import ValidateParameters
from labelbus_runtime.errors import RetryLater
from labelbus_simulator import Fault, Project, Studio, StudioApp
from labelbus_studio.client import StudioClient
from labelbus_studio.settings import StudioSettings
from pydantic import SecretStr

from .conftest import box, task_of

if TYPE_CHECKING:
    from .conftest import Open, Stand

CHECKING = ValidateParameters.model_validate({"validation_prompt": "- The boxes are wrong"})


@pytest.fixture
def project() -> Project:
    """Give a project with the labels dog and cat."""
    project = Studio().add_project("Animals")
    project.add_images(1, boxes="none")
    for label in ("dog", "cat"):
        project.samples[1].boxes.append({"label": label, "x": 0, "y": 0, "width": 5, "height": 5})
    return project


@pytest.fixture
async def client(project: Project) -> AsyncIterator[StudioClient]:
    """Give the client of the project's key."""
    transport = httpx.ASGITransport(StudioApp(project.studio), raise_app_exceptions=False)
    settings = StudioSettings(endpoint="http://studio/v1", retry_within_s=0.0)
    async with StudioClient(SecretStr(project.key), settings=settings, transport=transport) as client:
        yield client


def task(client: StudioClient, project: Project, job_id: str = "job") -> LabelTask:
    """Return a task about a box that says fox."""

    async def own() -> StudioClient:
        return client

    made = task_of(CHECKING, box("fox", 1, 2, 30, 40))
    return replace(made, own_studio=own, project_id=ProjectId(project.id), job_id=JobId(job_id))


async def test_the_projects_labels_are_read_once_for_a_job(
    opened: "Open", stand: "Stand", client: StudioClient, project: Project
) -> None:
    """However many samples it has; the sample's own labels are told too."""
    labeler = await opened(validate())
    tasks = [task(client, project) for _ in range(5)]
    halves = await asyncio.gather(labeler.label(tasks[:3]), labeler.label(tasks[3:]))
    assert all(isinstance(one, Labeled) for half in halves for one in half)
    asked = {one["messages"][-1]["content"][0]["text"].splitlines()[0] for one in stand.desk.requests}
    assert asked == {"Labels of the dataset: cat, dog, fox."}
    await labeler.label([task(client, project, "another")])
    assert client.calls["project"] == 2


async def test_a_studio_that_is_away_is_asked_again(
    opened: "Open", client: StudioClient, project: Project
) -> None:
    """The sample comes back later; nothing wrong is remembered."""
    labeler = await opened(validate())
    fault = project.studio.faults.add(Fault("error", route="get-project", status=503))
    (away,) = await labeler.label([task(client, project)])
    assert isinstance(away, RetryLater) and away.scope == "sample"
    project.studio.faults.remove(fault)
    (labeled,) = await labeler.label([task(client, project)])
    assert isinstance(labeled, Labeled)


async def test_a_studio_that_hangs_keeps_only_its_own_job_waiting(
    opened: "Open", client: StudioClient, project: Project
) -> None:
    """Another job's labels are read meanwhile."""
    labeler, asked, goes_on = await opened(validate()), asyncio.Event(), asyncio.Event()

    async def hanging() -> StudioClient:
        asked.set()
        await goes_on.wait()
        return client

    first = asyncio.create_task(labeler.label([replace(task(client, project), own_studio=hanging)]))
    await asked.wait()
    async with asyncio.timeout(10):
        (other,) = await labeler.label([task(client, project, "another")])
    goes_on.set()
    assert isinstance(other, Labeled)
    assert isinstance((await first)[0], Labeled)
