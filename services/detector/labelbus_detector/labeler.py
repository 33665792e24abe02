"""The labeler `owl-vit`: boxes from a text prompt, on a detector here or elsewhere."""

import time
from collections.abc import Mapping, Sequence

from labelbus_contracts.v1.events import Usage
from labelbus_labeling.each import label_each
from labelbus_labeling.geometry import merged_boxes
from labelbus_labeling.labeler import Labeled, LabelTask

from labelbus_detector.boxes import found_boxes
from labelbus_detector.detections import Detected, Detector, Query
from labelbus_detector.local import LocalDetector
from labelbus_detector.parameters import OwlVitParameters
from labelbus_detector.prompt import parse_prompt, phrases
from labelbus_detector.remote import RemoteDetector
from labelbus_detector.settings import DetectorSettings


class OwlVitLabeler:
    """Implements `Labeler`. Tasks of a batch run together; the detector makes its own batches of them."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    async def open(self) -> None:
        """Load the model or make the connections. Raises `SettingsError`."""
        await self._detector.open()

    async def close(self) -> None:
        """Free the model or the connections."""
        await self._detector.close()

    async def label(self, batch: Sequence[LabelTask]) -> Sequence[Labeled | Exception]:
        """Answer every task, in order, with its new draft or the error that it met."""
        return await label_each(batch, self._labeled)

    async def _labeled(self, task: LabelTask) -> Labeled:
        parameters = task.parameters_as(OwlVitParameters)
        lines = parse_prompt(parameters.prompt)
        query = Query(await task.media.image(), phrases(lines), parameters.threshold)
        started = time.perf_counter()
        detected = await self._detector.detect(query)
        usage = Usage(seconds=time.perf_counter() - started)
        found = found_boxes(detected, lines, parameters, task.base.sample, task.source)
        boxes = merged_boxes(
            task.draft.boxes, found, {line.label for line in lines}, parameters.delete_existing_bounding_boxes
        )
        metadata = {**task.draft.metadata, **_metadata(parameters)}
        draft = task.draft.model_copy(update={"boxes": boxes, "metadata": metadata})
        notes = (*detected.notes, *_frame_notes(task, detected))
        return Labeled(draft, model=self._detector.model, usage=usage, notes=notes)


def make_detector(settings: DetectorSettings) -> Detector:
    """Choose the detector elsewhere where BEAM_ENDPOINT is set, else one in this process."""
    return RemoteDetector(settings) if settings.beam_endpoint else LocalDetector(settings)


def make_labeler(environ: Mapping[str, str]) -> OwlVitLabeler:
    """Build the labeler from the environment. Raises `SettingsError`."""
    return OwlVitLabeler(make_detector(DetectorSettings.from_environment(environ)))


def _metadata(parameters: OwlVitParameters) -> dict[str, str]:
    if not parameters.write_metadata:
        return {}
    return {"labeled_by": "owlv2", "prompt": parameters.prompt}


def _frame_notes(task: LabelTask, detected: Detected) -> tuple[str, ...]:
    facts, frame = task.base.sample, detected.frame
    if not facts.width or not facts.height or (facts.width, facts.height) == (frame.width, frame.height):
        return ()
    here, there = f"{frame.width} * {frame.height}", f"{facts.width} * {facts.height}"
    return (f"The image is {here} pixels upright and {there} in Studio; boxes are in Studio's.",)
