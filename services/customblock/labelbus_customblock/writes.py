"""The writes that a block may make: they change drafts and nothing else. The others are refused and noted."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from labelbus_contracts.labels import BoundingBox
from labelbus_studio.proposals import ProposedChanges

from labelbus_customblock.bodies import (
    boxes_of,
    changes_of,
    json_object,
    metadata_of,
    ranges_of,
    text_of,
)
from labelbus_customblock.errors import BadWrite, Overreach, WriteRefusal
from labelbus_customblock.overlay import DraftedSample, Overlay

Body = Mapping[str, object]
_ONE: Final = re.compile(r"/raw-data/(\d{1,18})(?:/([a-z-]+))?")
_BATCH: Final = re.compile(r"/raw-data/batch/([a-zA-Z-]+)")
_MAY: Final = (
    "A block may set boxes, structured labels, label, metadata and the disabled flag of the samples in its "
    "ids file, or propose these."
)
_SHORTEST_SECRET: Final = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that would write. `path` begins behind the project, `full_path` does not."""

    method: str
    path: str
    full_path: str
    query: Mapping[str, str]
    content: bytes = b""

    def __str__(self) -> str:
        """Say what was tried."""
        return f"{self.method} {self.full_path}"


def write(asked: Asked, overlay: Overlay, secrets: Mapping[str, str]) -> None:
    """Make a write in the overlay, or note why not and raise `WriteRefusal`.

    `secrets` are values by name, which must not end in labels.
    """
    one = _ONE.fullmatch(asked.path)
    sample = overlay.sample(int(one[1])) if one else None
    try:
        _check_secrets(asked, secrets)
        if one and asked.method == "POST":
            _write_one(asked, sample, one[2])
        elif (batch := _BATCH.fullmatch(asked.path)) and asked.method == "POST":
            _write_batch(asked, overlay, batch[1])
        else:
            raise Overreach(f"The block tried {asked}. {_MAY}")
    except WriteRefusal as error:
        if sample is None:
            overlay.overreach.append(str(error))
        else:
            sample.refusals[asked.path] = str(error)
        raise
    if sample is not None:
        sample.refusals.pop(asked.path, None)  # the block mended its write


def _write_one(asked: Asked, sample: DraftedSample | None, what: str | None) -> None:
    setter = _SETTERS.get(what or "")
    if setter is None:
        raise Overreach(f"The block tried {asked}. {_MAY}")
    if sample is None:
        raise Overreach(f"The block tried {asked}, a sample that is not in its ids file. {_MAY}")
    try:
        setter(sample, json_object(asked.content))
    except BadWrite as error:
        raise BadWrite(f"The block sent {asked} what Studio does not take: {error}.") from None


def _set_boxes(sample: DraftedSample, body: Body) -> None:
    sample.write(ProposedChanges(boxes=boxes_of(body.get("boundingBoxes"))))


def _set_ranges(sample: DraftedSample, body: Body) -> None:
    count = sample.task.base.sample.values_count
    sample.write(ProposedChanges(ranges=ranges_of(body.get("structuredLabels"), count)))


def _set_label(sample: DraftedSample, body: Body) -> None:
    label = body.get("label")
    sample.write(ProposedChanges(label="" if label is None else text_of(label, "label")))


def _set_metadata(sample: DraftedSample, body: Body) -> None:
    sample.add_metadata(metadata_of(body.get("metadata")))


def _propose(sample: DraftedSample, body: Body) -> None:
    count = sample.task.base.sample.values_count
    sample.propose(changes_of(body.get("proposedChanges"), values_count=count))


def _disable(sample: DraftedSample, body: Body) -> None:
    sample.write(ProposedChanges(is_disabled=True))


def _enable(sample: DraftedSample, body: Body) -> None:
    sample.write(ProposedChanges(is_disabled=False))


_SETTERS: Final[Mapping[str, Callable[[DraftedSample, Body], None]]] = {
    "bounding-boxes": _set_boxes,
    "structured-labels": _set_ranges,
    "edit-label": _set_label,
    "metadata": _set_metadata,
    "disable": _disable,
    "enable": _enable,
    "propose-changes": _propose,
}


def _write_batch(asked: Asked, overlay: Overlay, what: str) -> None:
    edit = _EDITS.get(what)
    if edit is None:
        raise Overreach(f"The block tried {asked}. {_MAY}")
    named = _named_samples(asked, overlay)
    try:
        change = edit(json_object(asked.content))
    except BadWrite as error:
        raise BadWrite(f"The block sent {asked} what Studio does not take: {error}.") from None
    for sample in named:
        sample.write(change(sample))


def _named_samples(asked: Asked, overlay: Overlay) -> Sequence[DraftedSample]:
    """Return the samples of a batch edit. A filter could mean any sample, so ids are needed."""
    more = sorted(set(asked.query) - {"category", "ids"})
    ids = _ids(asked.query.get("ids", ""))
    if more or not ids:
        raise Overreach(f"The block tried {asked} by a filter. It must name the samples by ids. {_MAY}")
    strange = [one for one in ids if one not in overlay.samples]
    if strange:
        raise Overreach(f"The block tried {asked} for sample {strange[0]}, not in its ids file. {_MAY}")
    overlay.was_asked = True
    return [overlay.samples[one] for one in ids]


def _ids(text: str) -> list[int]:
    """Read a JSON list of ids, or ids separated by commas."""
    try:
        listed = json.loads(text if text.startswith("[") else f"[{text}]")
    except ValueError:
        return []
    return [one for one in listed if isinstance(one, int) and not isinstance(one, bool)]


Change = Callable[[DraftedSample], ProposedChanges]


def _edit_labels(body: Body) -> Change:
    label = text_of(body.get("label"), "label")
    return lambda sample: ProposedChanges(label=label)


def _add_metadata(body: Body) -> Change:
    key = text_of(body.get("metadataKey"), "metadataKey")
    value = text_of(body.get("metadataValue"), "metadataValue")
    return lambda sample: ProposedChanges(metadata={**sample.draft.metadata, key: value})


def _clear_metadata(body: Body) -> Change:
    return lambda sample: ProposedChanges(metadata={})


def _clear_key(body: Body) -> Change:
    key = text_of(body.get("metadataKey"), "metadataKey")
    return lambda sample: ProposedChanges(
        metadata={name: value for name, value in sample.draft.metadata.items() if name != key}
    )


def _edit_boxes(body: Body) -> Change:
    old, new = body.get("oldLabels"), text_of(body.get("newLabel"), "newLabel")
    if not isinstance(old, list):
        raise BadWrite("oldLabels is missing or no list")

    def renamed(box: BoundingBox) -> BoundingBox:
        return box.model_copy(update={"label": new}) if box.label in old else box

    def change(sample: DraftedSample) -> ProposedChanges:
        boxes = sample.draft.boxes
        return ProposedChanges(boxes=tuple(renamed(box) for box in boxes if new or box.label not in old))

    return change


_EDITS: Final[Mapping[str, Callable[[Body], Change]]] = {
    "edit-labels": _edit_labels,
    "add-metadata": _add_metadata,
    "clear-metadata": _clear_metadata,
    "clear-metadata-by-key": _clear_key,
    "enable-samples": lambda body: lambda sample: ProposedChanges(is_disabled=False),
    "disable-samples": lambda body: lambda sample: ProposedChanges(is_disabled=True),
    "edit-bounding-boxes": _edit_boxes,
}


def _check_secrets(asked: Asked, secrets: Mapping[str, str]) -> None:
    for name, value in secrets.items():
        if len(value) >= _SHORTEST_SECRET and value.encode() in asked.content:
            raise BadWrite(f"The block sent {asked} the value of the secret {name}. Labels must not hold it.")
