"""The drafts of one run's samples over what Studio holds: what earlier steps and the block itself wrote."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from labelbus_contracts.labels import BoundingBox, ClassLabel, LabelSet, SampleFacts, TimeRange
from labelbus_labeling.geometry import clipped
from labelbus_labeling.labeler import Labeled, LabelTask
from labelbus_runtime.errors import RetryLater, SampleRefused
from labelbus_studio.proposals import ProposedChanges, boxes_body, ranges_body

Json = dict[str, object]


@dataclass(slots=True)
class DraftedSample:
    """One sample as the block sees it. `refusals` are its writes that were not made, by what they set.

    `fault` is why its bytes could not be handed over. A proposal replaces the one before it, but lies over
    what was written directly.
    """

    task: LabelTask
    refusals: dict[str, str] = field(default_factory=dict)
    fault: RetryLater | SampleRefused | None = None
    written: LabelSet | None = None
    proposed: ProposedChanges | None = None

    @property
    def touched(self) -> bool:
        """Tell whether the block said anything of the sample."""
        return self.written is not None or self.proposed is not None

    @property
    def draft(self) -> LabelSet:
        """Return the draft so far."""
        draft = self.written or self.task.draft
        return draft if self.proposed is None else self._changed(draft, self.proposed)

    def write(self, changes: ProposedChanges) -> None:
        """Write directly, as a block does that applies."""
        self.written = self._changed(self.written or self.task.draft, changes)

    def add_metadata(self, metadata: Mapping[str, str]) -> None:
        """Add to the metadata or replace values, as Studio's route for it says."""
        self.write(ProposedChanges(metadata={**self.draft.metadata, **metadata}))

    def propose(self, changes: ProposedChanges) -> None:
        """Propose, in place of an earlier proposal."""
        self.proposed = changes

    def overlaid(self, row: Json) -> Json:
        """Return Studio's row of the sample with the draft's labels."""
        draft = self.draft
        shown = row | {
            "label": draft.label.label if draft.label else "",
            "boundingBoxes": boxes_body(draft.boxes),
            "metadata": dict(draft.metadata),
            "isDisabled": draft.disabled,
        }
        if draft.ranges or "structuredLabels" in row:
            shown["structuredLabels"] = ranges_body(draft.ranges)
            shown["structuredLabelsList"] = list(dict.fromkeys(one.label for one in draft.ranges))
        return shown

    def labeled(self, model: str) -> Labeled:
        """Return what the block made of the sample; its boxes end at the image's edges."""
        if not self.touched:
            return Labeled(self.task.draft, model=model, notes=("The block wrote nothing for this sample.",))
        draft = self.draft
        boxes = _within(draft.boxes, self.task.base.sample, self.task.source)
        dropped = len(draft.boxes) - len(boxes)
        notes = (f"Boxes outside of the image, left out: {dropped}.",) if dropped else ()
        return Labeled(draft.model_copy(update={"boxes": boxes}), model=model, notes=notes)

    def _changed(self, draft: LabelSet, changes: ProposedChanges) -> LabelSet:
        """Replace parts. Labels that were there before keep their score and source; new ones get ours."""
        parts: dict[str, object] = {}
        if changes.label is not None and changes.label != (draft.label.label if draft.label else ""):
            new = ClassLabel(label=changes.label, source=self.task.source) if changes.label else None
            parts["label"] = new
        if changes.boxes is not None:
            parts["boxes"] = _known_boxes(changes.boxes, self.task, draft)
        if changes.ranges is not None:
            parts["ranges"] = _known_ranges(changes.ranges, self.task, draft)
        if changes.metadata is not None:
            parts["metadata"] = dict(changes.metadata)
        if changes.is_disabled is not None:
            parts["disabled"] = changes.is_disabled
        return draft.model_copy(update=parts)


@dataclass(slots=True)
class Overlay:
    """What one run of a block sees and does. `overreach` are writes that no single sample answers for.

    `fault` is why Studio could not be asked. `was_asked` tells whether the block came as far as a sample.
    `rows` are Studio's of the run's samples, where lists were asked for; None for one that is gone.
    """

    samples: Mapping[int, DraftedSample]
    overreach: list[str] = field(default_factory=list)
    fault: RetryLater | None = None
    was_asked: bool = False
    rows: dict[int, Json | None] = field(default_factory=dict)

    @classmethod
    def over(cls, tasks: Iterable[LabelTask]) -> "Overlay":
        """Lay an overlay over the drafts of tasks, one for each sample."""
        return cls({int(task.sample_id): DraftedSample(task) for task in tasks})

    def overlaid(self, row: Json) -> Json:
        """Return a row of Studio's, with the draft where the sample is one of the run."""
        number = row.get("id")
        sample = self.sample(number) if isinstance(number, int) else None
        return row if sample is None else sample.overlaid(row)

    def proposals(self) -> list[Json]:
        """Return what the block proposed so far, as Studio's preview lists it."""
        return [
            {"sampleId": number, "step": 0, "proposedChanges": one.proposed.body()}
            for number, one in self.samples.items()
            if one.proposed is not None
        ]

    def sample(self, number: int) -> DraftedSample | None:
        """Return a sample of the run that the block asks about; None for another one."""
        sample = self.samples.get(number)
        self.was_asked = self.was_asked or sample is not None
        return sample


def _known_boxes(boxes: Iterable[BoundingBox], task: LabelTask, draft: LabelSet) -> tuple[BoundingBox, ...]:
    before = {box.content: box for box in (*draft.boxes, *task.draft.boxes)}
    return tuple(
        before[box.content]
        if box.content in before and box.score in (None, before[box.content].score)
        else box.model_copy(update={"source": task.source})
        for box in boxes
    )


def _known_ranges(ranges: Iterable[TimeRange], task: LabelTask, draft: LabelSet) -> tuple[TimeRange, ...]:
    before = {one.content: one for one in (*draft.ranges, *task.draft.ranges)}
    return tuple(before.get(one.content) or one.model_copy(update={"source": task.source}) for one in ranges)


def _within(boxes: Iterable[BoundingBox], facts: SampleFacts, source: str) -> tuple[BoundingBox, ...]:
    """Clip the boxes of this step to the image, where its size is known; drop what is outside."""
    width, height = facts.width, facts.height
    if not width or not height:
        return tuple(boxes)
    cut = (_cut(box, width, height) if box.source == source else box for box in boxes)
    return tuple(box for box in cut if box is not None)


def _cut(box: BoundingBox, width: int, height: int) -> BoundingBox | None:
    corners = (box.x, box.y, box.x + box.width, box.y + box.height)
    x1, y1, x2, y2 = clipped(corners, width, height)
    if x2 <= x1 or y2 <= y1:
        return None
    return box.model_copy(update={"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1})
