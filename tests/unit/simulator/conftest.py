"""A Studio with one project of each kind of data, served over loopback, and the official client for it."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from labelbus_simulator import Project, SimulatorOptions, Studio, serve

KEY = "ei_0123456789"


@dataclass
class Served:
    """A Studio under test. `project` holds eight pictures, then two clips of 1 s, then a video."""

    studio: Studio
    project: Project
    url: str
    http: httpx.Client

    def get(self, path: str, **params: object) -> dict[str, object]:
        """GET below the project, as JSON."""
        answer = self.http.get(f"/api/{self.project.id}{path}", params=params)  # type: ignore[arg-type]
        document: dict[str, object] = answer.json()
        return document

    def post(self, path: str, body: object = None, **params: object) -> dict[str, object]:
        """POST below the project, as JSON."""
        answer = self.http.post(f"/api/{self.project.id}{path}", json=body, params=params)  # type: ignore[arg-type]
        document: dict[str, object] = answer.json()
        return document


@pytest.fixture
def served() -> Iterator[Served]:
    """The Studio on a free port."""
    studio = Studio(SimulatorOptions(seed=3))
    project = studio.add_project(key=KEY)
    project.add_images(8, seed=5, rotated=0.3)
    project.add_audio(2, seed=5, seconds=1.0, pieces=2)
    project.add_video(frames=2)
    with serve(studio) as url, httpx.Client(base_url=url, headers={"x-api-key": KEY}) as http:
        yield Served(studio, project, url, http)
