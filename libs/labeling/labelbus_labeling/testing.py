"""For authors of labelers: media without a Studio, tasks, and the suite that every labeler passes."""

import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from labelbus_contracts.ids import JobId, ProjectId, SampleId
from labelbus_contracts.labels import (
    Base,
    BoundingBox,
    ClassLabel,
    LabelingMethod,
    LabelPart,
    LabelSet,
    SampleFacts,
    SampleKind,
    TimeRange,
    changed_parts,
    same_content,
)
from labelbus_runtime.errors import RetryLater, SampleRefused
from PIL import Image, ImageDraw

from labelbus_labeling.labeler import Labeled, Labeler, LabelerParameters, LabelTask, Registration

WIDTH, HEIGHT = 96, 64


@dataclass(frozen=True, slots=True)
class GivenMedia:
    """Implements `Media` with given bytes, or an error in their place."""

    blob: bytes
    error: RetryLater | SampleRefused | None = None

    async def image(self) -> bytes:
        """Return the bytes, or raise the error."""
        return self._get()

    async def wav(self, axis: int = 0) -> bytes:
        """Return the bytes, or raise the error."""
        return self._get()

    def _get(self) -> bytes:
        if self.error is not None:
            raise self.error
        return self.blob


def picture(number: int = 0) -> bytes:
    """Return a PNG of 96 * 64 pixels with a square on it, at another place for each number."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    left = 4 + 16 * (number % 5)
    ImageDraw.Draw(image).rectangle((left, 16, left + 20, 36), fill="red")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def clip(number: int = 0, *, frequency_hz: int = 16_000, seconds: float = 1.0) -> bytes:
    """Return a WAV of 16-bit mono with a square wave, another one for each number."""
    half = 20 + 5 * number
    count = int(frequency_hz * seconds)
    values = b"".join(
        (6000 if index // half % 2 else -6000).to_bytes(2, "little", signed=True) for index in range(count)
    )
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(frequency_hz)
        file.writeframes(values)
    return buffer.getvalue()


class LabelerConformance:
    """What holds for every labeler. Subclass it as `Test…`, and pytest runs it.

    The subclass has a fixture `labeler` (an open one), `registration`, and `parameters`, at least one set
    of them; `changes` names the parts of a draft that the labeler may change.
    """

    registration: ClassVar[Registration]
    parameters: ClassVar[Sequence[LabelerParameters]]
    changes: ClassVar[frozenset[LabelPart]]
    reads_media: ClassVar[bool] = True

    async def test_answers_in_order(self, labeler: Labeler) -> None:
        """Every task is answered at its place, as if it were alone, whatever else is in the batch."""
        tasks = [self.task(number) for number in range(5)]
        together = _drafts(await labeler.label(tasks))
        alone = [_drafts(await labeler.label([task]))[0] for task in tasks]
        assert all(same_content(one, other) for one, other in zip(together, alone, strict=True))

    async def test_empty_batch(self, labeler: Labeler) -> None:
        """No task, no answer."""
        assert list(await labeler.label([])) == []

    async def test_bad_bytes(self, labeler: Labeler) -> None:
        """A sample whose bytes cannot be read is refused, and spoils no other."""
        if not self.reads_media:
            return
        bad = self.task(1, media=GivenMedia(b"this is neither a picture nor a sound"))
        first, refused, last = await labeler.label([self.task(0), bad, self.task(2)])
        assert isinstance(refused, SampleRefused)
        assert str(refused)
        assert isinstance(first, Labeled)
        assert isinstance(last, Labeled)

    async def test_media_faults(self, labeler: Labeler) -> None:
        """What fetching the bytes raises is the answer of that task, unchanged."""
        if not self.reads_media:
            return
        away, gone = RetryLater("Studio is away."), SampleRefused("Sample 1 is gone from project 7.")
        batch = [self.task(0, media=GivenMedia(b"", away)), self.task(1, media=GivenMedia(b"", gone))]
        first, second, third = await labeler.label([*batch, self.task(2)])
        assert first is away
        assert second is gone
        assert isinstance(third, Labeled)

    async def test_keeps_the_rest(self, labeler: Labeler) -> None:
        """Parts that the labeler is not about stay as they are, and so does metadata of others."""
        task = self.task(0, draft=self.full_draft())
        (draft,) = _drafts(await labeler.label([task]))
        assert changed_parts(task.draft, draft) <= self.changes | {"metadata"}
        assert task.draft.metadata.items() <= draft.metadata.items()
        assert draft.disabled == task.draft.disabled or "disabled" in self.changes

    async def test_names_its_labels(self, labeler: Labeler) -> None:
        """Boxes and ranges that a step adds carry its name; boxes have whole pixels inside the picture."""
        task = self.task(0)
        (draft,) = _drafts(await labeler.label([task]))
        assert {one.source for one in draft.boxes} <= {task.source}
        assert {one.source for one in draft.ranges} <= {task.source}
        for box in draft.boxes:
            assert box.x >= 0
            assert box.y >= 0
            assert box.x + box.width <= WIDTH
            assert box.y + box.height <= HEIGHT

    def task(
        self, number: int, *, media: GivenMedia | None = None, draft: LabelSet | None = None
    ) -> LabelTask:
        """Return a task; the parameters alternate with its number."""
        kind, method = self._kind()
        labels = draft or LabelSet()
        facts = SampleFacts(
            filename=f"{number}",
            kind=kind,
            width=WIDTH if kind == "image" else None,
            height=HEIGHT if kind == "image" else None,
            frequency_hz=16_000.0 if kind == "audio" else None,
            values_count=16_000 if kind == "audio" else 1,
            labeling_method=method,
        )
        return LabelTask(
            job_id=JobId("job"),
            project_id=ProjectId(7),
            sample_id=SampleId(number),
            base=Base(sample=facts, labels=labels, read_at=datetime(2026, 1, 1, tzinfo=UTC)),
            draft=labels,
            parameters=self.parameters[number % len(self.parameters)],
            source=f"{self.registration.name}#0",
            media=media or GivenMedia(picture(number) if kind == "image" else clip(number)),
        )

    def full_draft(self) -> LabelSet:
        """Return a draft that says something in every part."""
        return LabelSet(
            label=ClassLabel(label="kept"),
            boxes=(BoundingBox(label="kept", x=1, y=2, width=3, height=4),),
            ranges=(TimeRange(start_index=0, end_index=99, label="kept"),),
            label_map={"kept": "yes"},
            disabled=True,
            metadata={"kept": "yes"},
        )

    def _kind(self) -> tuple[SampleKind, LabelingMethod]:
        if "images_object_detection" in self.registration.operates_on:
            return "image", "object_detection"
        if "images_single_label" in self.registration.operates_on:
            return "image", "single_label"
        return ("audio", "single_label") if "audio" in self.registration.operates_on else ("other", "unknown")


def _drafts(outcomes: Sequence[Labeled | Exception]) -> list[LabelSet]:
    drafts = []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise AssertionError("a good sample was not labeled") from outcome
        drafts.append(outcome.draft)
    return drafts
