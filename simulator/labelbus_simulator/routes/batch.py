"""Changing many samples at once: the list's filters plus `ids` and `excludeIds`."""

from labelbus_simulator.call import Call, RouteTable
from labelbus_simulator.errors import Refused
from labelbus_simulator.filters import CATEGORIES, json_list, parse_filter
from labelbus_simulator.labels import check_integer
from labelbus_simulator.sample import Sample

routes = RouteTable()
_BATCH = "/api/{project}/raw-data/batch"


@routes.add("batch-edit-labels", "POST", f"{_BATCH}/edit-labels", writes=True)
def edit_labels(call: Call) -> None:
    """One label for all."""
    label = call.text("label")
    for sample in _chosen(call):
        sample.label = label
        sample.touch(call.by)


@routes.add("batch-edit-boxes", "POST", f"{_BATCH}/edit-bounding-boxes", writes=True)
def edit_boxes(call: Call) -> None:
    """Rename the labels of boxes; an empty new label deletes the boxes."""
    old, new = call.json.get("oldLabels"), call.text("newLabel")
    if not isinstance(old, list):
        raise Refused("oldLabels is required and should be an array")
    for sample in _chosen(call):
        renamed = [{**b, "label": new} if b["label"] in old else b for b in sample.boxes]
        sample.boxes = [box for box in renamed if box["label"]] if not new else renamed
        sample.touch(call.by)


@routes.add("batch-add-metadata", "POST", f"{_BATCH}/add-metadata", writes=True)
def add_metadata(call: Call) -> None:
    """One key and value for all."""
    key, value = call.text("metadataKey"), call.text("metadataValue")
    for sample in _chosen(call):
        sample.metadata = {**sample.metadata, key: value}
        sample.touch(call.by)


@routes.add("batch-clear-metadata", "POST", f"{_BATCH}/clear-metadata", writes=True)
def clear_metadata(call: Call) -> None:
    """Remove all metadata."""
    for sample in _chosen(call):
        sample.metadata = {}
        sample.touch(call.by)


@routes.add("batch-clear-metadata-by-key", "POST", f"{_BATCH}/clear-metadata-by-key", writes=True)
def clear_metadata_by_key(call: Call) -> None:
    """Remove one key."""
    key = call.text("metadataKey")
    for sample in _chosen(call):
        sample.metadata = {k: v for k, v in sample.metadata.items() if k != key}
        sample.touch(call.by)


@routes.add("batch-enable", "POST", f"{_BATCH}/enable-samples", writes=True)
def enable(call: Call) -> None:
    """Enable all."""
    _set_disabled(call, disabled=False)


@routes.add("batch-disable", "POST", f"{_BATCH}/disable-samples", writes=True)
def disable(call: Call) -> None:
    """Disable all."""
    _set_disabled(call, disabled=True)


@routes.add("batch-move", "POST", f"{_BATCH}/moveSamples", writes=True)
def move(call: Call) -> None:
    """Put all into another category."""
    category = call.text("newCategory")
    if category not in CATEGORIES:
        raise Refused("newCategory should be one of " + ", ".join(CATEGORIES))
    for sample in _chosen(call):
        sample.category = category
        sample.touch(call.by)


@routes.add("batch-delete", "POST", f"{_BATCH}/delete", writes=True)
def delete(call: Call) -> None:
    """Delete all."""
    for sample in _chosen(call):
        call.project.delete(sample.id)


def _set_disabled(call: Call, *, disabled: bool) -> None:
    for sample in _chosen(call):
        sample.is_disabled = disabled
        sample.touch(call.by)


def _chosen(call: Call) -> list[Sample]:
    wanted = parse_filter(call.query, call.studio.options.empty_labels_filter)
    ids, without = _ids(call, "ids"), _ids(call, "excludeIds") or set()
    found = call.project.find(wanted)
    return [s for s in found if (ids is None or s.id in ids) and s.id not in without]


def _ids(call: Call, name: str) -> set[int] | None:
    value = call.query.get(name)
    if not value:
        return None
    return {check_integer(item, name) for item in json_list(value, name)}
