"""Projects, their impulse, and what the key is."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from labelbus_contracts.ids import ProjectId
from labelbus_contracts.labels import LabelingMethod

from labelbus_studio.answers import Call, Json
from labelbus_studio.calls import Calls
from labelbus_studio.errors import KeyRefused
from labelbus_studio.fields import (
    labeling_method,
    number,
    optional_number,
    optional_whole,
    part,
    rows,
    text,
    time,
    whole,
)


@dataclass(frozen=True, slots=True)
class Project:
    """One project of Studio."""

    id: ProjectId
    name: str
    labeling_method: LabelingMethod = "unknown"
    owner: str = ""


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What a key is: `role` is `admin`, `readonly`, `ingestiononly` or newer."""

    project_id: ProjectId
    role: str
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class ProjectInfo:
    """A project with the labels of its training data and the number of its samples."""

    project: Project
    labels: tuple[str, ...] = ()
    sample_count: int | None = None


@dataclass(frozen=True, slots=True)
class ScoredBox:
    """A box that an impulse found, in the unit Studio answers in: documented as shares of the image."""

    label: str
    x: float
    y: float
    width: float
    height: float
    score: float


@dataclass(frozen=True, slots=True)
class Classification:
    """What an impulse says of an image: scores by label, or boxes; None for what it does not do."""

    scores: Mapping[str, float] | None = None
    boxes: tuple[ScoredBox, ...] | None = None


class ProjectCalls(Calls):
    """Read projects and run their impulse. All methods raise `StudioError`."""

    _project: Project | None = None
    _project_lock: asyncio.Lock | None = None

    async def project(self) -> Project:
        """Return the project of the key, read once."""
        self._project_lock = self._project_lock or asyncio.Lock()
        async with self._project_lock:
            if self._project is None:
                projects = await self.projects()
                if not projects:
                    raise KeyRefused("The API key sees no project. Give the job a project's key.")
                self._project = projects[0]
        return self._project

    async def projects(self) -> list[Project]:
        """List the projects that the key sees; a project's key sees its own only."""
        answer = await self.ask(Call(route="projects", path="/api/projects"))
        return [_project(row) for row in rows(answer.get("projects"), "projects")]

    async def key_info(self) -> KeyInfo:
        """Return the project and the role of the key."""
        answer = await self.ask(Call(route="api-key-info", path="/api/projects/api-key-info"))
        return KeyInfo(
            project_id=ProjectId(whole(answer.get("projectId"), "project id")),
            role=text(answer.get("role")),
            expires=time(answer.get("expires")),
        )

    async def project_info(self, project_id: int) -> ProjectInfo:
        """Return a project and a summary of its data."""
        answer = await self.ask(Call(route="project", path=f"/api/{project_id}"))
        summary = part(answer.get("dataSummary"))
        labels = summary.get("labels")
        return ProjectInfo(
            project=_project(part(answer.get("project"))),
            labels=tuple(text(one) for one in labels) if isinstance(labels, list) else (),
            sample_count=optional_whole(summary.get("dataCount"), "dataCount"),
        )

    async def impulse(self, project_id: int, *, impulse_id: int | None = None) -> Json | None:
        """Return an impulse as Studio describes it, None where the project has none."""
        params = {"impulseId": impulse_id}
        answer = await self.ask(Call(route="impulse", path=f"/api/{project_id}/impulse", params=params))
        return part(answer.get("impulse")) or None

    async def classify_image(
        self,
        project_id: int,
        image: bytes,
        *,
        impulse_id: int | None = None,
        media_type: str = "image/jpeg",
    ) -> Classification:
        """Classify an image by the project's impulse."""
        call = Call(
            route="classify-image",
            path=f"/api/{project_id}/classify/image",
            method="POST",
            params={"impulseId": impulse_id},
            upload=(f"image.{media_type.rpartition('/')[2]}", image, media_type),
        )
        answer = await self.ask(call)
        scores, boxes = answer.get("result"), answer.get("boundingBoxes")
        return Classification(
            scores={k: optional_number(v) or 0.0 for k, v in scores.items()}
            if isinstance(scores, dict)
            else None,
            boxes=None if boxes is None else tuple(_scored(row) for row in rows(boxes, "boundingBoxes")),
        )


def _project(row: Json) -> Project:
    return Project(
        id=ProjectId(whole(row.get("id"), "project id")),
        name=text(row.get("name")),
        labeling_method=labeling_method(row.get("labelingMethod")),
        owner=text(row.get("owner")),
    )


def _scored(row: Json) -> ScoredBox:
    return ScoredBox(
        label=text(row.get("label")),
        x=number(row.get("x"), "box x"),
        y=number(row.get("y"), "box y"),
        width=number(row.get("width"), "box width"),
        height=number(row.get("height"), "box height"),
        score=number(row.get("score"), "box score"),
    )
