"""Changes proposed in Studio, and labels in the form that Studio takes them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labelbus_contracts.ids import SampleId
from labelbus_contracts.labels import BoundingBox, TimeRange

from labelbus_studio.answers import Json
from labelbus_studio.fields import optional_whole, part, text, texts, whole
from labelbus_studio.samples import read_boxes, read_ranges


@dataclass(frozen=True, slots=True)
class ProposedChanges:
    """What to change of a sample: None keeps, anything else replaces the whole part.

    Nothing to change is proposed too, else the sample is missing from Studio's preview.
    """

    label: str | None = None
    is_disabled: bool | None = None
    boxes: tuple[BoundingBox, ...] | None = None
    metadata: Mapping[str, str] | None = None
    ranges: tuple[TimeRange, ...] | None = None

    def body(self) -> Json:
        """Return the `proposedChanges` object."""
        changes: Json = {
            "label": self.label,
            "isDisabled": self.is_disabled,
            "boundingBoxes": None if self.boxes is None else boxes_body(self.boxes),
            "metadata": None if self.metadata is None else dict(self.metadata),
            "structuredLabels": None if self.ranges is None else ranges_body(self.ranges),
        }
        return {name: value for name, value in changes.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one step of a Studio job proposes for a sample."""

    sample_id: SampleId
    changes: ProposedChanges
    step: int | None = None


def read_proposal(row: Json) -> Proposal:
    """Read a proposal. Raises `StudioConfused`."""
    changes = part(row.get("proposedChanges"))
    get = changes.get
    label, disabled = get("label"), get("isDisabled")
    return Proposal(
        sample_id=SampleId(whole(row.get("sampleId"), "sample id")),
        step=optional_whole(row.get("step"), "step"),
        changes=ProposedChanges(
            label=None if label is None else text(label),
            is_disabled=disabled if isinstance(disabled, bool) else None,
            boxes=None if get("boundingBoxes") is None else read_boxes(get("boundingBoxes")),
            metadata=None if get("metadata") is None else texts(get("metadata")),
            ranges=None if get("structuredLabels") is None else read_ranges(get("structuredLabels")),
        ),
    )


def boxes_body(boxes: Iterable[BoundingBox]) -> list[Json]:
    """Write boxes: pixels are strict integers; score and source stay with us."""
    return [
        {
            "label": box.label,
            "x": int(box.x),
            "y": int(box.y),
            "width": int(box.width),
            "height": int(box.height),
        }
        for box in boxes
    ]


def ranges_body(ranges: Iterable[TimeRange]) -> list[Json]:
    """Write ranges: sample indexes are strict integers, both ends inclusive."""
    return [
        {"startIndex": int(one.start_index), "endIndex": int(one.end_index), "label": one.label}
        | ({"labelMap": {"type": "key-values", "labels": one.label_map}} if one.label_map else {})
        for one in ranges
    ]
