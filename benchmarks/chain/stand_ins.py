"""Studio with two equal projects, the detector and the vision model for measuring; every call is slow.

Pictures are all different, so that no answer of the model serves two samples. The detector has looked at all
of them before anything is measured: what it would take for that is neither side's.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

import httpx
from labelbus_simulator import Dataset, Fault, Studio, StudioApp, serve_app
from labelbus_simulator.models import Desk, beam_app, find_shapes, openai_app

from benchmarks.block.stand_ins import TOKEN, forever, served

KEYS: Final = ("ei_official", "ei_labelbus")
OBJECTS: Final = (("red", "circle"), ("blue", "square"), ("green", "triangle"))
Box = tuple[str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Side:
    """One way's project: its number and key, and its samples, of equal pictures in equal order."""

    project_id: int
    key: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class World:
    """Where the stand-ins are."""

    studio: str
    beam: str
    vision: str
    official: Side
    labelbus: Side

    def counts(self) -> "Counts":
        """Return the calls since the last time, and forget them."""
        url = self._control("calls")
        said = httpx.get(url, timeout=60).json()
        httpx.delete(url, timeout=60)
        asked = httpx.delete(f"{self.vision}/calls", timeout=60).json()["calls"]
        detected = httpx.delete(f"{self.beam}/calls", timeout=60).json()["calls"]
        return Counts(_without_control(said["routes"]), said["samples"], detected, asked)

    def boxes(self, side: Side) -> list[list[Box]]:
        """Return what Studio holds for each sample, without regard to the order of its boxes."""
        said = httpx.get(self._control(f"state/{side.project_id}"), timeout=60).json()["samples"]
        held = {one["id"]: sorted(map(_box, one["boundingBoxes"])) for one in said}
        return [held[one] for one in side.ids]

    def _control(self, path: str) -> str:
        return f"{self.studio.removesuffix('/v1')}/v1/_control/{path}"


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls to Studio by route, and by sample and route; calls of the detector and of the vision model."""

    routes: Counter[str]
    samples: dict[str, dict[str, int]]
    detected: int
    asked: int

    def most(self, route: str) -> int:
        """Return how often one sample was the subject of a route, at most."""
        return max((routes.get(route, 0) for routes in self.samples.values()), default=0)


@contextmanager
def stand_ins(samples: int, latency_s: float) -> Iterator[World]:
    """Serve all three, each in a process of its own, until the block ends."""
    with (
        served(_serve_studio, samples, latency_s) as studio,
        served(_serve_beam, samples, latency_s) as beam,
        served(_serve_vision, latency_s) as vision,
    ):
        sides = [Side(*side) for side in studio["sides"]]
        yield World(studio["url"], beam["url"], vision["url"], *sides)


class Counted:
    """A stand-in that also answers `DELETE /calls` with how many it got, and forgets them."""

    def __init__(self, app: Any, desk: Desk) -> None:
        self._app, self._desk = app, desk

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one call."""
        if scope["type"] != "http" or scope["method"] != "DELETE":
            await self._app(scope, receive, send)
            return
        body = b'{"calls": %d}' % len(self._desk.requests)
        self._desk.requests.clear()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _pictures(samples: int) -> Dataset:
    return Dataset.images(samples, objects=OBJECTS)


def _serve_studio(pipe: Connection, samples: int, latency_s: float) -> None:
    studio = Studio()
    sides = []
    for key in KEYS:
        project = studio.add_project(key, "object_detection", key)
        sides.append((project.id, key, tuple(project.add(_pictures(samples)))))
        for sample in project.samples.values():
            sample.content.data()
    studio.fault(Fault("latency", latency_s=latency_s))
    with serve_app(StudioApp(studio)) as url:
        pipe.send({"url": f"{url}/v1", "sides": sides})
        forever()


def _serve_beam(pipe: Connection, samples: int, latency_s: float) -> None:
    for picture in _pictures(samples):
        find_shapes(picture.content.data())
    desk = Desk(key=TOKEN, latency_s=latency_s)
    with serve_app(Counted(beam_app(desk), desk)) as url:
        pipe.send({"url": url})
        forever()


def _serve_vision(pipe: Connection, latency_s: float) -> None:
    desk = Desk(key=TOKEN, latency_s=latency_s)
    with serve_app(Counted(openai_app(desk), desk)) as url:
        pipe.send({"url": url})
        forever()


def _without_control(routes: dict[str, int]) -> Counter[str]:
    return Counter({name: number for name, number in routes.items() if not name.startswith("control")})


def _box(box: dict[str, Any]) -> Box:
    return (box["label"], box["x"], box["y"], box["width"], box["height"])
