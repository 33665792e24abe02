"""Studio and the remote detector for measuring: each in a process of its own, every call of them slow."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

import httpx
from labelbus_simulator import Fault, Studio, StudioApp, serve_app
from labelbus_simulator.models import Desk, beam_app

KEY: Final = "ei_benchmark"
TOKEN: Final = "benchmark"
AGAIN: Final = "get-sample, again for conflicts"
_DISTINCT: Final = 16
_OBJECTS: Final = (("red", "circle"), ("blue", "square"), ("green", "triangle"))
_START_S: Final = 120.0
_SPAWN: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class World:
    """Where the stand-ins are, and a project to label."""

    studio: str
    beam: str
    project_id: int
    ids: tuple[int, ...]
    preview_jobs: tuple[int, ...]

    def calls(self) -> Counter[str]:
        """Return Studio's calls by route since the last time, and forget them."""
        root = self.studio.removesuffix("/v1") + "/v1/_control/calls"
        routes: dict[str, int] = httpx.get(root, timeout=30).json()["routes"]
        httpx.delete(root, timeout=30)
        return Counter({name: number for name, number in routes.items() if not name.startswith("control")})


@contextmanager
def stand_ins(samples: int, latency_s: float) -> Iterator[World]:
    """Serve both until the block ends; `samples` pictures of few distinct ones are cheap to make."""
    with served(_serve_studio, samples, latency_s) as studio, served(_serve_beam, latency_s) as beam:
        yield World(beam=beam["url"], **studio)


class CountsAgain:
    """Tells reads of a sample after its picture apart from those before: they are checks for conflicts."""

    def __init__(self, studio: Studio) -> None:
        self._app = StudioApp(studio)
        self._routes = studio.calls.by_route
        self._pictured: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Count one call."""
        path = scope.get("path", "")
        if path.endswith("/image"):
            self._pictured.add(path.removesuffix("/image"))
        elif scope.get("method") == "GET" and path in self._pictured:
            self._routes[AGAIN] += 1
        elif scope.get("method") == "DELETE" and path.endswith("/_control/calls"):
            self._pictured.clear()
        await self._app(scope, receive, send)


@contextmanager
def served(target: Callable[..., None], *given: float) -> Iterator[Mapping[str, Any]]:
    """Run `target(pipe, *given)` in a process until the block ends; yields the first thing that it sends."""
    here, there = _SPAWN.Pipe()
    process = _SPAWN.Process(target=target, args=(there, *given), daemon=True)
    process.start()
    try:
        if not here.poll(_START_S):
            raise TimeoutError("a stand-in did not start")
        yield here.recv()
    finally:
        process.terminate()
        process.join(10)


def forever() -> None:
    """Keep a process that serves in threads."""
    while True:
        time.sleep(3600)


def _serve_studio(pipe: Connection, samples: int, latency_s: float) -> None:
    studio = Studio()
    project = studio.add_project("Benchmark", "object_detection", KEY)
    ids = project.add_images(samples, distinct=_DISTINCT, objects=_OBJECTS)
    for one in ids[:_DISTINCT]:
        project.samples[one].content.data()
    jobs = [project.add_job().id for _ in range(2)]
    studio.fault(Fault("latency", latency_s=latency_s))
    with serve_app(CountsAgain(studio)) as url:
        pipe.send(
            {"studio": f"{url}/v1", "project_id": project.id, "ids": tuple(ids), "preview_jobs": tuple(jobs)}
        )
        forever()


def _serve_beam(pipe: Connection, latency_s: float) -> None:
    with serve_app(beam_app(Desk(key=TOKEN, latency_s=latency_s))) as url:
        pipe.send({"url": url})
        forever()
