"""The labeler `validate`: a whole image with its boxes is valid or not; what is not is disabled."""

import asyncio
from collections.abc import Sequence

from labelbus_contracts.labels import BoundingBox
from labelbus_labeling.labeler import Labeled, LabelTask

from labelbus_relabeler.answers import label_of, object_of, spelled, text_in
from labelbus_relabeler.asking import Asker
from labelbus_relabeler.dataset import DatasetLabels
from labelbus_relabeler.naming import FORM, MOST_TOKENS, Verdict
from labelbus_relabeler.parameters import ValidateParameters
from labelbus_relabeler.pictures import whole
from labelbus_relabeler.questions import Question, object_schema

_VERDICTS = spelled(["valid", "invalid"])


async def validated(task: LabelTask, asker: Asker, dataset: DatasetLabels) -> Labeled:
    """Validate one image. Raises `SampleRefused`, `RetryLater`."""
    parameters = task.parameters_as(ValidateParameters)
    label = {"type": "string", "enum": list(_VERDICTS.values())}
    picture = await asyncio.to_thread(whole, await task.media.image())
    labels = parameters.dataset_labels or _with_own(await dataset.of(task), task.draft.boxes)
    question = Question(
        text=_text(parameters.validation_prompt, labels, task.draft.boxes),
        picture=picture,
        detail=parameters.image_quality,
        system=FORM,
        schema=object_schema({"label": label, "reason": {"type": "string"}}),
        max_output_tokens=MOST_TOKENS,
    )
    manner = asker.manner(model=parameters.model, concurrency=parameters.concurrency)
    asked = await asker.ask(task, question, manner, _read)
    verdict = asked.value
    metadata = {"reason": verdict.reason, "validation": verdict.label}
    draft = task.draft.model_copy(
        update={
            "disabled": task.draft.disabled or verdict.label == "invalid",
            "metadata": {**task.draft.metadata, **metadata},
        }
    )
    return Labeled(draft, model=asked.model, usage=asked.usage)


def _read(answer: str) -> Verdict:
    found = object_of(answer)
    label = label_of(text_in(found, "label"), prompt="", allowed=_VERDICTS)
    return Verdict(label, text_in(found, "reason"))


def _with_own(labels: Sequence[str], boxes: Sequence[BoundingBox]) -> tuple[str, ...]:
    """Return the project's labels with those of the sample: Studio may count its training data only."""
    return tuple(dict.fromkeys([*labels, *(box.label for box in boxes)]))


def _text(prompt: str, labels: Sequence[str], boxes: Sequence[BoundingBox]) -> str:
    named = f"Labels of the dataset: {', '.join(labels)}.\n" if labels else ""
    return (
        f"{named}Bounding boxes of this image, in pixels from its upper left corner:\n{_listed(boxes)}\n"
        f'Answer "invalid" if one of these is true:\n{prompt}\n'
        'Otherwise answer "valid".'
    )


def _listed(boxes: Sequence[BoundingBox]) -> str:
    lines = [f"- {box.label}: x {box.x}, y {box.y}, width {box.width}, height {box.height}" for box in boxes]
    return "\n".join(lines) or "(none)"
