"""A simulated Studio, small block scripts, and tasks whose project they label."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from labelbus_contracts.ids import JobId, ProjectId, SampleId, SecretName
from labelbus_contracts.labels import Base, LabelSet, SampleFacts
from labelbus_customblock.labeler import CustomBlockLabeler
from labelbus_customblock.parameters import CustomBlockParameters
from labelbus_customblock.settings import CustomBlockSettings
from labelbus_labeling.labeler import LabelTask
from labelbus_labeling.testing import HEIGHT, WIDTH, GivenMedia, picture
from labelbus_simulator import Project, Studio, serve
from labelbus_studio.client import StudioClient, StudioClients
from labelbus_studio.settings import StudioSettings
from pydantic import SecretStr

KEY = "ei_" + "4" * 32
SECRET = "hf_very-secret-value"
HEAD = """\
import json, os, sys, time, urllib.error, urllib.request
ids = json.load(open(sys.argv[sys.argv.index("--data-ids-file") + 1]))
KEY = os.environ["EI_PROJECT_API_KEY"]
P = "/api/" + os.environ["EI_PROJECT_ID"]

def raw(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"x-api-key": KEY, "content-type": "application/json"}
    url = os.environ["EI_API_ENDPOINT"] + path
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        return urllib.request.urlopen(request).read()
    except urllib.error.HTTPError as error:
        return error.read()

def ask(method, path, body=None):
    return json.loads(raw(method, path, body))

def sample(one):
    return ask("GET", f"{P}/raw-data/{one}")["sample"]

def boxes(one, found):
    return ask("POST", f"{P}/raw-data/{one}/bounding-boxes", {"boundingBoxes": found})

BOX = {"label": "thing", "x": 1, "y": 2, "width": 30, "height": 20}

"""
ADD_A_BOX = "for one in ids:\n    boxes(one, sample(one)['boundingBoxes'] + [BOX])\n"


@dataclass(slots=True)
class Bench:
    """A project in a simulated Studio, and a maker of blocks and tasks for it."""

    studio: Studio
    project: Project
    client: StudioClient
    folder: Path

    def block(self, script: str, **parameters: object) -> CustomBlockParameters:
        """Write a block; return parameters that run it."""
        path = self.folder / "block.py"
        path.write_text(HEAD + script)
        command = (sys.executable, "-S", str(path))
        return CustomBlockParameters.model_validate({"command": command, **parameters})

    def task(self, parameters: CustomBlockParameters, number: int, **draft: object) -> LabelTask:
        """Return a task for a sample of the project."""
        facts = SampleFacts(kind="image", width=WIDTH, height=HEIGHT, labeling_method="object_detection")
        return self.reaching(
            LabelTask(
                job_id=JobId("job"),
                project_id=ProjectId(self.project.id),
                sample_id=SampleId(number),
                base=Base(sample=facts, labels=LabelSet(), read_at=datetime(2026, 1, 1, tzinfo=UTC)),
                draft=LabelSet.model_validate(draft),
                parameters=parameters,
                source="custom-block#1",
                media=GivenMedia(picture(number)),
            )
        )

    def tasks(self, parameters: CustomBlockParameters, count: int) -> list[LabelTask]:
        """Return tasks for the samples 1 to `count`."""
        return [self.task(parameters, number) for number in range(1, count + 1)]

    def reaching(self, task: LabelTask) -> LabelTask:
        """Let a task reach the project and a secret."""

        async def own() -> StudioClient:
            return self.client

        async def secret(name: SecretName) -> SecretStr:
            return SecretStr(SECRET)

        return replace(task, project_id=ProjectId(self.project.id), own_studio=own, secret=secret)


@pytest.fixture
def studio() -> Iterator[tuple[Studio, str]]:
    """Serve a Studio."""
    made = Studio()
    with serve(made) as endpoint:
        yield made, endpoint


@pytest.fixture
async def bench(studio: tuple[Studio, str], tmp_path: Path) -> AsyncIterator[Bench]:
    """Give a project of eight pictures."""
    made, endpoint = studio
    project = made.add_project("Shapes", key=KEY)
    project.add_images(8, seed=3)
    clients = StudioClients(StudioSettings(endpoint=endpoint, retry_within_s=0))
    yield Bench(made, project, clients.get(SecretStr(KEY)), tmp_path)
    await clients.aclose()


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment with secrets of the process."""
    return {"PATH": "/usr/bin:/bin", "OPENAI_API_KEY": "sk-of-the-process", "LABELBUS_SECRET_KEYS": "sealed"}


@pytest.fixture
async def labeler(environ: dict[str, str]) -> AsyncIterator[CustomBlockLabeler]:
    """An open labeler that runs any command."""
    made = CustomBlockLabeler(CustomBlockSettings(commands="*"), environ)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def reaching(bench: Bench) -> Callable[[LabelTask], LabelTask]:
    """Let a task of the conformance suite reach the project."""
    return bench.reaching
