"""The labeler `images`: one label for a whole image, with the model's reason."""

import asyncio
from dataclasses import dataclass
from typing import Final

from labelbus_contracts.labels import ClassLabel, LabelSet
from labelbus_labeling.labeler import Labeled, LabelTask

from labelbus_relabeler.answers import key_of, label_of, object_of, spelled, text_in
from labelbus_relabeler.asking import Asker
from labelbus_relabeler.parameters import ImagesParameters
from labelbus_relabeler.pictures import whole
from labelbus_relabeler.questions import Question, object_schema

FORM: Final = (
    "Whatever you are asked, answer with a JSON object of two texts: 'label', the answer itself, and "
    "'reason', your reasoning in detail, with the names of the objects that it is about."
)
MOST_TOKENS: Final = 512


@dataclass(frozen=True, slots=True)
class Verdict:
    """A label and why."""

    label: str
    reason: str


async def labeled(task: LabelTask, asker: Asker) -> Labeled:
    """Label one image. Raises `SampleRefused`, `RetryLater`."""
    parameters = task.parameters_as(ImagesParameters)
    allowed = _allowed(parameters)
    text: dict[str, object] = {"type": "string"}
    label = text if allowed is None else text | {"enum": list(allowed.values())}
    question = Question(
        text=parameters.prompt,
        picture=await asyncio.to_thread(whole, await task.media.image()),
        detail=parameters.image_quality,
        system=FORM,
        schema=object_schema({"label": label, "reason": text}),
        max_output_tokens=MOST_TOKENS,
    )

    def read(answer: str) -> Verdict:
        found = object_of(answer)
        name = label_of(text_in(found, "label"), prompt=parameters.prompt, allowed=allowed)
        return Verdict(name, text_in(found, "reason"))

    manner = asker.manner(model=parameters.model, concurrency=parameters.concurrency)
    asked = await asker.ask(task, question, manner, read)
    return Labeled(_draft(task, parameters, asked.value), model=asked.model, usage=asked.usage)


def _allowed(parameters: ImagesParameters) -> dict[str, str] | None:
    if not parameters.allowed_labels:
        return None
    return spelled([*parameters.allowed_labels, *parameters.disable_labels])


def _draft(task: LabelTask, parameters: ImagesParameters, verdict: Verdict) -> LabelSet:
    """Set the label and the official block's metadata; what is disabled stays so."""
    disabling = {key_of(label) for label in parameters.disable_labels}
    metadata = {"reason": verdict.reason, "prompt": parameters.prompt}
    return task.draft.model_copy(
        update={
            "label": ClassLabel(label=verdict.label, source=task.source),
            "disabled": task.draft.disabled or key_of(verdict.label) in disabling,
            "metadata": {**task.draft.metadata, **metadata},
        }
    )
