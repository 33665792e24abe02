"""A stand-in for OpenAI on loopback, and labelers that ask it."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from labelbus_contracts.ids import JobId, ProjectId, SampleId
from labelbus_contracts.labels import Base, BoundingBox, LabelSet, SampleFacts
from labelbus_labeling.labeler import Labeler, LabelerParameters, LabelTask, Registration
from labelbus_labeling.testing import HEIGHT, WIDTH, GivenMedia
from labelbus_simulator.models import Desk, Mishap, openai_app, serve_model
from labelbus_simulator.shapes import COLORS
from PIL import Image, ImageDraw

KEY = "sk-test"


@dataclass(frozen=True)
class Stand:
    """The stand-in and its address."""

    desk: Desk
    url: str

    @property
    def environ(self) -> dict[str, str]:
        """What a labeler's environment says to find it."""
        return {"OPENAI_BASE_URL": f"{self.url}/v1", "OPENAI_API_KEY": KEY, "OPENAI_MODEL": "simulated"}

    def says(self, *answers: str, **message: Any) -> None:
        """Give these answers next, whatever is asked."""
        for answer in answers:
            self.desk.mishaps.append(Mishap(200, completion(answer, **message)))

    def fails(self, status: int, code: str = "", message: str = "no", **headers: str) -> None:
        """Fail the next call."""
        body = {"error": {"message": message, "code": code or None, "type": "error"}}
        self.desk.mishaps.append(Mishap(status, body, {k.replace("_", "-"): v for k, v in headers.items()}))


def completion(text: str, *, finish: str = "stop", refusal: str = "", written: int = 0) -> dict[str, Any]:
    """Return the body of one answer."""
    return {
        "id": "chatcmpl-x",
        "object": "chat.completion",
        "created": 1,
        "model": "simulated",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": text, "refusal": refusal or None},
            }
        ],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 7,
            "total_tokens": 107,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": written},
        },
    }


@pytest.fixture
def stand() -> Iterator[Stand]:
    """Serve the stand-in."""
    desk = Desk(key=KEY)
    with serve_model(openai_app(desk)) as url:
        yield Stand(desk, url)


Open = Callable[[Registration], Awaitable[Labeler]]


@pytest.fixture
async def opened(stand: Stand) -> AsyncIterator[Open]:
    """Open labelers on the stand-in."""
    open_ones: list[Labeler] = []

    async def make(registration: Registration, **environ: str) -> Labeler:
        labeler = registration.make(stand.environ | environ)
        await labeler.open()
        open_ones.append(labeler)
        return labeler

    yield make
    for labeler in open_ones:
        await labeler.close()


def scene(width: int = WIDTH, height: int = HEIGHT, **options: Any) -> bytes:
    """Return a grey PNG with a red square at 4, 16 of 21 * 21 pixels."""
    image = Image.new("RGB", (width, height), (128, 128, 128))
    ImageDraw.Draw(image).rectangle((4, 16, 24, 36), fill=COLORS["red"])
    buffer = io.BytesIO()
    image.save(buffer, options.pop("format", "PNG"), **options)
    return buffer.getvalue()


def box(label: str, x: int, y: int, width: int, height: int) -> BoundingBox:
    """Return a box that was there before."""
    return BoundingBox(label=label, x=x, y=y, width=width, height=height)


def task_of(
    parameters: LabelerParameters,
    *boxes: BoundingBox,
    image: bytes | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    **labels: Any,
) -> LabelTask:
    """Return a task; the image is grey with a red square at 4, 16 of 21 * 21 pixels unless given."""
    draft = LabelSet(boxes=boxes, **labels)
    facts = SampleFacts(kind="image", width=size[0], height=size[1])
    return LabelTask(
        job_id=JobId("job"),
        project_id=ProjectId(7),
        sample_id=SampleId(42),
        base=Base(sample=facts, labels=draft, read_at=datetime(2026, 1, 1, tzinfo=UTC)),
        draft=draft,
        parameters=parameters,
        source="step#0",
        media=GivenMedia(scene() if image is None else image),
    )
