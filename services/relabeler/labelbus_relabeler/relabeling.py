"""The labeler `relabel`: existing boxes, each shown to a model, get a new label or go."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from labelbus_contracts.labels import BoundingBox
from labelbus_contracts.v1.events import Usage
from labelbus_labeling.labeler import Labeled, LabelTask
from labelbus_runtime.errors import RetryLater

from labelbus_relabeler.answers import key_of, label_of, object_of, spelled, text_in
from labelbus_relabeler.asking import Asked, Asker, added
from labelbus_relabeler.parameters import RelabelParameters
from labelbus_relabeler.pictures import Cropper
from labelbus_relabeler.questions import Picture, Question, object_schema

_MOST_TOKENS = 64


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What becomes of one box: None where it is removed."""

    box: BoundingBox | None
    asked: Asked[str] | None = None
    note: str | None = None


async def relabeled(task: LabelTask, asker: Asker) -> Labeled:
    """Ask about every box that the parameters name; boxes keep their order. One fault fails the sample.

    The image is fetched even where no box is asked about: a sample without bytes is told of here.
    Raises `SampleRefused`, `RetryLater`.
    """
    parameters = task.parameters_as(RelabelParameters)
    cropper = await asyncio.to_thread(Cropper, await task.media.image(), task.base.sample)
    work = _Work(task, asker, parameters, cropper)
    outcomes = await _all([work.outcome(box) for box in task.draft.boxes])
    usage, models = Usage(), []
    for outcome in outcomes:
        if outcome.asked is not None:
            usage = added(usage, outcome.asked.usage)
            models.append(outcome.asked.model)
    boxes = tuple(outcome.box for outcome in outcomes if outcome.box is not None)
    return Labeled(
        task.draft.model_copy(update={"boxes": boxes}),
        model=models[0] if models else None,
        usage=usage,
        notes=tuple(outcome.note for outcome in outcomes if outcome.note is not None),
    )


class _Work:
    """One sample's boxes, one by one."""

    def __init__(
        self, task: LabelTask, asker: Asker, parameters: RelabelParameters, cropper: Cropper
    ) -> None:
        self._task = task
        self._asker = asker
        self._parameters = parameters
        self._cropper = cropper
        self._which = {label.casefold() for label in parameters.which_labels}
        self._removing = {key_of(label) for label in parameters.disable_labels}
        self._allowed = _allowed(parameters)
        self._manner = asker.manner(model=parameters.model, concurrency=parameters.concurrency)

    async def outcome(self, box: BoundingBox) -> _Outcome:
        """Decide about one box."""
        if box.label.strip().casefold() not in self._which or not self._is_uncertain(box):
            return _Outcome(box)
        inside = self._cropper.inside(box)
        if inside is None:
            where = f"x {box.x}, y {box.y}, {box.width} * {box.height}"
            return _Outcome(None, note=f"A box '{box.label}' outside the image ({where}) was removed.")
        crop = await asyncio.to_thread(
            self._cropper.crop,
            inside,
            margin_percent=self._parameters.context_margin,
            least_px=self._parameters.least_crop_px,
        )
        asked = await self._asker.ask(self._task, self._question(crop), self._manner, self._read)
        if key_of(asked.value) in self._removing:
            return _Outcome(None, asked)
        new = {"label": asked.value, "score": None, "source": self._task.source, "votes": ()}
        return _Outcome(inside.model_copy(update=new), asked)

    def _is_uncertain(self, box: BoundingBox) -> bool:
        most = self._parameters.max_score
        return most is None or (box.score is not None and box.score <= most)

    def _question(self, crop: Picture) -> Question:
        return Question(
            text=self._parameters.prompt,
            picture=crop,
            detail=self._parameters.image_quality,
            schema=_schema(self._allowed),
            max_output_tokens=_MOST_TOKENS,
        )

    def _read(self, text: str) -> str:
        """Read the label, in lower case as the official block writes it; allowed ones as they are spelled."""
        if self._allowed is not None:
            return label_of(text_in(object_of(text), "label"), prompt="", allowed=self._allowed)
        return label_of(_unwrapped(text), prompt=self._parameters.prompt).lower()


def _allowed(parameters: RelabelParameters) -> dict[str, str] | None:
    if not parameters.allowed_labels:
        return None
    return spelled([*parameters.allowed_labels, *parameters.disable_labels])


def _schema(allowed: dict[str, str] | None) -> dict[str, object] | None:
    if allowed is None:
        return None
    return object_schema({"label": {"type": "string", "enum": list(allowed.values())}})


def _unwrapped(text: str) -> str:
    """Return the label of a model that answers `{"label": ...}` although it was asked for plain text."""
    if not text.lstrip("` \njson").startswith("{"):
        return text
    return text_in(object_of(text), "label")


async def _all(works: Sequence[Awaitable[_Outcome]]) -> list[_Outcome]:
    """Await every box, so that no paid call is cut off; then raise what concerns most, if anything does."""
    outcomes = await asyncio.gather(*works, return_exceptions=True)
    faults = [one for one in outcomes if isinstance(one, BaseException)]
    for fault in sorted(faults, key=_weight):
        raise fault
    return [one for one in outcomes if isinstance(one, _Outcome)]


def _weight(fault: BaseException) -> int:
    """Sort what stops the whole job first, then what refuses the sample, then what only waits."""
    if isinstance(fault, RetryLater):
        return 0 if fault.scope == "job" else 2
    return 1
