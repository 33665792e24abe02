"""Samples as Studio tells of them, read by hand: a page has a thousand."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from labelbus_contracts.ids import SampleId
from labelbus_contracts.labels import (
    Base,
    BoundingBox,
    ClassLabel,
    LabelingMethod,
    LabelSet,
    SampleFacts,
    SampleKind,
    TimeRange,
)

from labelbus_studio.answers import Json
from labelbus_studio.errors import StudioConfused
from labelbus_studio.fields import (
    labeling_method,
    optional_number,
    optional_whole,
    part,
    rows,
    text,
    texts,
    time,
    whole,
)

_log = logging.getLogger("labelbus_studio")


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample. While `is_processing` its bytes may be missing; a `processing_error` is final.

    `processing_job_id` is Studio's job that works on it, where Studio says so.

    `last_updated_by` is Studio's object that tells a person from a key; its shape varies.
    """

    id: SampleId
    facts: SampleFacts
    labels: LabelSet
    is_processing: bool = False
    processing_error: str | None = None
    last_modified: datetime | None = None
    added: datetime | None = None
    last_updated_by: Mapping[str, object] | None = None
    processing_job_id: int | None = None

    def base(self, read_at: datetime) -> Base:
        """Return the sample as the base of a proposal, read at `read_at` (UTC)."""
        return Base(sample=self.facts, labels=self.labels, read_at=read_at)


def is_unlabeled(sample: Sample, method: LabelingMethod | None = None) -> bool:
    """Tell whether a sample has no labels; Studio does not document its rule, so this one is ours.

    Object detection: no boxes, so a reviewed empty image counts. Label map: none on the sample and none on
    its ranges. Otherwise: an empty label and no ranges. `method` is the project's, by default the sample's.
    """
    labels = sample.labels
    match method or sample.facts.labeling_method:
        case "object_detection":
            return not labels.boxes
        case "label_map":
            return not labels.label_map and not any(r.label_map for r in labels.ranges)
        case _:
            return not (labels.label and labels.label.label) and not labels.ranges


def read_sample(row: Json) -> Sample:
    """Read a sample. Raises `StudioConfused` where its id or its labels cannot be read."""
    get = row.get
    failed = get("processingError")
    updated_by = get("lastUpdatedBy")
    return Sample(
        id=SampleId(whole(get("id"), "sample id")),
        facts=_facts(row),
        labels=read_labels(row),
        is_processing=get("isProcessing") is True,
        processing_error=(text(get("processingErrorString")) or "processing failed") if failed else None,
        last_modified=time(get("lastModified")),
        added=time(get("added")),
        last_updated_by=updated_by if isinstance(updated_by, dict) else None,
        processing_job_id=_job_id(get("processingJobId")),
    )


def read_samples(value: object) -> tuple[list[Sample], dict[int, str]]:
    """Read a page: its samples, and the reasons for those that cannot be read, by id.

    Raises `StudioConfused` where the page is no list of objects, or an id cannot be read.
    """
    samples: list[Sample] = []
    unreadable: dict[int, str] = {}
    for row in rows(value, "samples"):
        try:
            samples.append(read_sample(row))
        except StudioConfused as error:
            unreadable[whole(row.get("id"), "sample id")] = str(error)
    for sample_id, reason in unreadable.items():
        _log.warning("Sample %d of a page is left out: %s", sample_id, reason)
    return samples, unreadable


def read_labels(row: Json) -> LabelSet:
    """Read the labels of a sample. Raises `StudioConfused`."""
    get = row.get
    label, boxes, ranges = get("label"), get("boundingBoxes"), get("structuredLabels")
    shown = label if isinstance(label, str) else text(label)
    return LabelSet(
        label=ClassLabel(label=shown) if shown else None,
        boxes=read_boxes(boxes) if boxes else (),
        ranges=read_ranges(ranges) if ranges else (),
        label_map=read_label_map(get("labelMap")),
        disabled=get("isDisabled") is True,
        metadata=texts(get("metadata")),
    )


def read_boxes(value: object) -> tuple[BoundingBox, ...]:
    """Read boxes in whole pixels; sides below 0 are 0. Raises `StudioConfused`."""
    return tuple(
        BoundingBox(
            label=text(row.get("label")),
            x=whole(row.get("x"), "box x"),
            y=whole(row.get("y"), "box y"),
            width=max(0, whole(row.get("width"), "box width")),
            height=max(0, whole(row.get("height"), "box height")),
        )
        for row in rows(value, "boundingBoxes")
    )


def read_ranges(value: object) -> tuple[TimeRange, ...]:
    """Read ranges in sample indexes, both ends inclusive; below 0 is 0. Raises `StudioConfused`."""
    return tuple(
        TimeRange(
            start_index=max(0, whole(row.get("startIndex"), "range start")),
            end_index=max(0, whole(row.get("endIndex"), "range end")),
            label=text(row.get("label")),
            label_map=read_label_map(row.get("labelMap")),
        )
        for row in rows(value, "structuredLabels")
    )


def read_label_map(value: object) -> dict[str, str] | None:
    """Read `{"type": "key-values", "labels": {…}}`, or the flat form of label files; empty is None."""
    if not isinstance(value, dict):
        return None
    if "labels" in value and isinstance(value["labels"], dict):
        return texts(value["labels"]) or None
    return texts({k: v for k, v in value.items() if k != "type"}) or None


def _facts(row: Json) -> SampleFacts:
    get = row.get
    streams = get("datastreams")
    stream = part(streams[0]) if isinstance(streams, list) and streams else {}
    size = part(get("imageDimensions") or stream.get("imageDimensions"))
    frequency_hz = optional_number(get("frequency"))
    if frequency_hz is None:
        frequency_hz = optional_number(stream.get("frequencyHz"))
    count = get("valuesCount")
    return SampleFacts(
        filename=text(get("filename")),
        kind=_kind(get("chartType") or stream.get("chartType"), frequency_hz, bool(size)),
        category=text(get("category")),
        width=_side(size.get("width")),
        height=_side(size.get("height")),
        frequency_hz=frequency_hz,
        values_count=optional_whole(stream.get("valuesCount") if count is None else count, "valuesCount"),
        content_hash=text(get("sha256Hash")) or None,
        labeling_method=labeling_method(get("projectLabelingMethod")),
    )


def _kind(chart: object, frequency_hz: float | None, has_size: bool) -> SampleKind:
    """Tell the kind: a chart with a frequency is a time series and served as WAV, which we call audio.

    Charts that we do not know are images where they have a size.
    """
    match chart:
        case "image":
            return "image"
        case "video":
            return "video"
        case "table":
            return "table"
        case "chart":
            return "audio" if frequency_hz and frequency_hz > 0 else "other"
        case _:
            return "image" if has_size else "other"


def _job_id(value: object) -> int | None:
    number = optional_number(value)
    return round(number) if number and number > 0 else None


def _side(value: object) -> int | None:
    number = optional_number(value)
    return round(number) if number and number > 0 else None
