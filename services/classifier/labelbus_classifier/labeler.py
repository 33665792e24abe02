"""The labeler `pretrained`: what another project's impulse says of an image becomes its labels."""

import time
from collections.abc import Sequence

from labelbus_contracts.labels import LabelSet, SampleFacts
from labelbus_contracts.v1.events import Usage
from labelbus_labeling.each import label_each
from labelbus_labeling.geometry import Deletion, merged_boxes
from labelbus_labeling.images import open_image
from labelbus_labeling.labeler import Labeled, LabelTask
from labelbus_runtime.errors import RetryLater
from labelbus_studio.project_calls import Classification, ScoredBox

from labelbus_classifier.answers import boxes_of, label_of
from labelbus_classifier.keeping import kept_label, parse_keep
from labelbus_classifier.parameters import PretrainedParameters
from labelbus_classifier.source import Source, Sources


class PretrainedLabeler:
    """Implements `Labeler`. Studio computes; this reads and asks."""

    def __init__(self, sources: Sources | None = None) -> None:
        self._sources = sources or Sources()

    async def open(self) -> None:
        """Do nothing: clients are opened with the secrets of the jobs."""

    async def close(self) -> None:
        """Do nothing: the clients belong to the process."""

    async def label(self, batch: Sequence[LabelTask]) -> Sequence[Labeled | Exception]:
        """Answer every task, in order, with its new draft or the error that it met."""
        return await label_each(batch, self._labeled)

    async def _labeled(self, task: LabelTask) -> Labeled:
        parameters = task.parameters_as(PretrainedParameters)
        source = await self._sources.of(task, parameters)
        image = await task.media.image()
        with open_image(image) as picture:  # a sample that is no picture is refused here, with its reason
            size = _size(task.base.sample, picture.size)
        started = time.perf_counter()
        said = await source.classify(image)
        usage = Usage(seconds=time.perf_counter() - started)
        if said.boxes is not None:
            draft = _with_boxes(task, parameters, said.boxes, size)
            return Labeled(draft, model=source.model, usage=usage)
        draft, notes = _with_label(task, parameters, said, source)
        return Labeled(draft, model=source.model, usage=usage, notes=notes)


def _size(facts: SampleFacts, of_file: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of the frame that Studio's boxes are in."""
    return (facts.width, facts.height) if facts.width and facts.height else of_file


def _with_boxes(
    task: LabelTask, parameters: PretrainedParameters, found: Sequence[ScoredBox], size: tuple[int, int]
) -> LabelSet:
    wanted = parse_keep(parameters.keep_bounding_boxes)
    sure = [one for one in found if one.score >= parameters.min_confidence]
    names = {one.label: kept_label(one.label, wanted) for one in sure}
    kept = {label: name for label, name in names.items() if name is not None}
    new = boxes_of(sure, size, kept=kept, source=task.source)
    deletion: Deletion = "yes" if parameters.delete_existing_bounding_boxes else "no"
    boxes = merged_boxes(task.draft.boxes, new, (), deletion)
    return task.draft.model_copy(update={"boxes": boxes})


def _with_label(
    task: LabelTask, parameters: PretrainedParameters, said: Classification, source: Source
) -> tuple[LabelSet, tuple[str, ...]]:
    best = None if said.scores is None else label_of(said.scores, source=task.source)
    if best is None:
        raise RetryLater(
            f"The impulse of {source.model} answers neither boxes nor labels. Choose another source.",
            scope="job",
            code="source-answers",
        )
    if (best.score or 0.0) < parameters.min_confidence:
        return task.draft, (f"The best label, {best.label}, scores only {best.score:.2f}.",)
    return task.draft.model_copy(update={"label": best}), ()
