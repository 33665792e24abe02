"""One call on its way to a route: what was asked, and what is answered."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal
from urllib.parse import parse_qsl

from labelbus_simulator.documents import Doc
from labelbus_simulator.errors import NotAllowed, Refused
from labelbus_simulator.jobs import Job
from labelbus_simulator.labels import check_text
from labelbus_simulator.project import Project
from labelbus_simulator.sample import Sample
from labelbus_simulator.studio import Key, Studio

Method = Literal["GET", "POST", "DELETE"]


@dataclass(slots=True)
class Reply:
    """A complete answer."""

    body: bytes
    media_type: str = "application/json"
    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


@dataclass(frozen=True)
class Call:
    """A request that reached a route. `path` holds the pattern's values, ids as whole numbers."""

    studio: Studio
    method: str
    url_path: str
    path: Mapping[str, int | str]
    headers: Mapping[str, str]
    raw_query: bytes
    body: bytes

    @cached_property
    def query(self) -> dict[str, str]:
        """The query; of repeated parameters the last counts."""
        return dict(parse_qsl(self.raw_query.decode(), keep_blank_values=True))

    @cached_property
    def json(self) -> Doc:
        """The body as a JSON object; none is an empty object."""
        if not self.body:
            return {}
        try:
            doc = json.loads(self.body)
        except ValueError:
            raise Refused("The body is not valid JSON") from None
        if not isinstance(doc, dict):
            raise Refused("The body should be a JSON object")
        return doc

    @cached_property
    def key(self) -> Key:
        """Who calls. Raises NotAllowed."""
        return self.studio.authenticate(self.headers.get("x-api-key", ""))

    @cached_property
    def project(self) -> Project:
        """The project in the path, if the key opens it and may do this."""
        project_id = self.number("project")
        if self.key.project_id not in (None, project_id):
            raise NotAllowed("This API key does not belong to this project")
        if self.key.role == "ingestiononly" or (self.key.role == "readonly" and self.method != "GET"):
            raise NotAllowed(f"This API key is {self.key.role}")
        return self.studio.project(project_id)

    @cached_property
    def sample(self) -> Sample:
        """The sample in the path."""
        return self.project.sample(self.number("sample"))

    @cached_property
    def preview_job(self) -> Job | None:
        """The job of `proposedActionsJobId`, if one is asked for."""
        job_id = self.query.get("proposedActionsJobId")
        return self.project.jobs.get(int(job_id)) if job_id else None

    @property
    def by(self) -> Doc:
        """The caller, as `lastUpdatedBy` shows it."""
        return {"type": "projectApiKey", "id": self.key.id, "name": "API key"}

    def number(self, name: str) -> int:
        """An id of the path."""
        return int(self.path[name])

    def text(self, name: str) -> str:
        """A required string of the body."""
        return check_text(self.json.get(name), name)

    def flag(self, name: str) -> bool:
        """A true or false of the query, false when absent."""
        return self.query.get(name, "").lower() in ("true", "1")


Handler = Callable[[Call], Doc | Reply | None]


@dataclass(frozen=True, slots=True)
class Route:
    """A named method and path pattern: `{category}` matches text, every other `{name}` a whole number."""

    name: str
    method: Method
    pattern: str
    handler: Handler
    writes: bool


class RouteTable:
    """Routes by path; literal segments win over patterns."""

    def __init__(self) -> None:
        self.routes: list[Route] = []
        self._root: Doc = {}

    def add(
        self, name: str, method: Method, pattern: str, *, writes: bool = False
    ) -> Callable[[Handler], Handler]:
        """Decorate a handler."""

        def register(handler: Handler) -> Handler:
            self._insert(Route(name, method, pattern, handler, writes))
            return handler

        return register

    def include(self, other: "RouteTable") -> None:
        """Take over another table's routes."""
        for route in other.routes:
            self._insert(route)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, int | str]] | None:
        """The route of a path and the values in it."""
        values: list[int | str] = []
        node = _walk(self._root, path.strip("/").split("/"), values)
        route = node.get(method) if node else None
        if not isinstance(route, Route):
            return None
        names = [part[1:-1] for part in route.pattern.strip("/").split("/") if part.startswith("{")]
        return route, dict(zip(names, values, strict=True))

    def _insert(self, route: Route) -> None:
        self.routes.append(route)
        node = self._root
        for part in route.pattern.strip("/").split("/"):
            node = node.setdefault(_slot(part), {})
        node[route.method] = route


def _slot(part: str) -> str:
    if not part.startswith("{"):
        return f"/{part}"
    return "{text}" if part in ("{category}", "{name}") else "{int}"


def _walk(node: Doc, parts: list[str], values: list[int | str]) -> Doc | None:
    for part in parts:
        following = node.get(f"/{part}")
        if following is None and "{int}" in node and part.lstrip("-").isdigit():
            following = node["{int}"]
            values.append(int(part))
        elif following is None and "{text}" in node:
            following = node["{text}"]
            values.append(part)
        if following is None:
            return None
        node = following
    return node
