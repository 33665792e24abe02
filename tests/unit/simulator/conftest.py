"""A Studio with one project of each kind of data, served over loopback, and the official client for it."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from labelbus_simulator import Project, SimulatorOptions, Studio, serve_app
from labelbus_simulator.web import Receive, Scope, Send, StudioApp

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


class Switchboard:
    """An application that passes calls on to the Studio of the test that runs: one server for all tests."""

    app: StudioApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
def line() -> Iterator[tuple[Switchboard, httpx.Client]]:
    """The server, real uvicorn on a free port, and a client that knows the key."""
    board = Switchboard()
    with serve_app(board) as url, httpx.Client(base_url=f"{url}/v1", headers={"x-api-key": KEY}) as http:
        yield board, http


@pytest.fixture
def served(line: tuple[Switchboard, httpx.Client]) -> Served:
    """A Studio of its own for each test."""
    board, http = line
    studio = Studio(SimulatorOptions(seed=3))
    project = studio.add_project(key=KEY)
    project.add_images(8, seed=5, rotated=0.3)
    project.add_audio(2, seed=5, seconds=1.0, pieces=2)
    project.add_video(frames=2)
    board.app = StudioApp(studio)
    return Served(studio, project, str(http.base_url).rstrip("/"), http)
