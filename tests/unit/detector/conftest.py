"""The toy model, and tasks for the labeler."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

import pytest
import torch
import uvicorn
from labelbus_contracts.ids import JobId, ProjectId, SampleId
from labelbus_contracts.labels import Base, BoundingBox, LabelSet, SampleFacts
from labelbus_detector.engine import OwlEngine
from labelbus_detector.loading import load_engine
from labelbus_detector.parameters import OwlVitParameters
from labelbus_labeling.labeler import LabelTask
from starlette.types import ASGIApp

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy() -> OwlEngine:
    """The bundled model on the CPU."""
    return load_engine("toy", device="cpu")


class Bytes:
    """Media that are given."""

    def __init__(self, image: bytes) -> None:
        self._image = image

    async def image(self) -> bytes:
        return self._image

    async def wav(self, axis: int = 0) -> bytes:
        raise NotImplementedError


@pytest.fixture
def task() -> Callable[..., LabelTask]:
    """Make a task of image bytes and parameters."""

    def make(
        image: bytes,
        prompt: str = "red square (square, 0.4)",
        *,
        boxes: tuple[BoundingBox, ...] = (),
        size: tuple[int, int] | None = None,
        metadata: dict[str, str] | None = None,
        **parameters: object,
    ) -> LabelTask:
        width, height = size or (None, None)
        labels = LabelSet(boxes=boxes, metadata=metadata or {})
        base = Base(
            sample=SampleFacts(kind="image", width=width, height=height),
            labels=labels,
            read_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return LabelTask(
            job_id=JobId("job"),
            project_id=ProjectId(1),
            sample_id=SampleId(42),
            base=base,
            draft=labels,
            parameters=OwlVitParameters.model_validate({"prompt": prompt, **parameters}),
            source="owl-vit#0",
            media=Bytes(image),
        )

    return make


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an app on a free port of the loopback; give its address."""
    config = uvicorn.Config(app, port=0, log_level="critical", ws="none", lifespan="on")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
        if serving.done():
            await serving
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
def serve() -> Callable[[ASGIApp], AbstractAsyncContextManager[str]]:
    """Serve apps on the loopback."""
    return served
