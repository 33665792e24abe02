"""Studio's checks of labels that come in: boxes in whole pixels, covering ranges, metadata of strings."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Literal

import numpy as np

from labelbus_simulator.documents import Doc
from labelbus_simulator.errors import Refused

BoxesOutside = Literal["refuse", "clip", "store"]
_SIDES = ("x", "y", "width", "height")


def check_boxes(given: object, size: tuple[int, int] | None, outside: BoxesOutside) -> list[Doc]:
    """Whole-pixel boxes, treated as `outside` says where they leave the image of `size`."""
    if not isinstance(given, list):
        raise Refused("boundingBoxes is required and should be an array")
    boxes = [_check_box(box, f"boundingBoxes[{i}]") for i, box in enumerate(given)]
    if size is None or outside == "store":
        return boxes
    if outside == "clip":
        return [clipped for box in boxes if (clipped := _clip(box, size))]
    for i, box in enumerate(boxes):
        if _clip(box, size) != box:
            raise Refused(f"boundingBoxes[{i}] is outside of the image ({size[0]}x{size[1]})")
    return boxes


def check_ranges(given: object, count: int) -> list[Doc]:
    """Ranges painted in order over 0..count-1: later ones win, equal neighbours become one."""
    if not isinstance(given, list):
        raise Refused("structuredLabels is required and should be an array")
    ranges = [_check_range(item, f"structuredLabels[{i}]", count) for i, item in enumerate(given)]
    if len({frozenset(item.get("labelMap", {}).get("labels", {})) for item in ranges}) > 1:
        raise Refused("structuredLabels: all labelMap objects should have the same keys")
    painted = np.full(count, -1, dtype=np.int32)
    for i, item in enumerate(ranges):
        painted[item["startIndex"] : item["endIndex"] + 1] = i
    if count and painted.min() < 0:
        raise Refused(f"structuredLabels: index {int(np.argmin(painted))} has no label")
    return _merge(painted, ranges)


def check_metadata(given: object) -> dict[str, str]:
    """Text to text."""
    if not isinstance(given, dict):
        raise Refused("metadata should be an object")
    for key, value in given.items():
        if not isinstance(value, str):
            raise Refused(f"metadata['{key}'] should be a string")
    return dict(given)


def check_text(given: object, name: str) -> str:
    """A string."""
    if not isinstance(given, str):
        raise Refused(f"{name} is required and should be a string")
    return given


def check_integer(given: object, name: str) -> int:
    """A whole number; true, 1.0 and "1" are none."""
    if type(given) is not int:
        raise Refused(f"{name} should be an integer")
    return given


def labels_of(boxes: Iterable[Doc], ranges: Iterable[Doc], label: str) -> list[str]:
    """Every label that a sample shows, once each."""
    found = [*(box["label"] for box in boxes), *(item["label"] for item in ranges)]
    return list(dict.fromkeys(found or ([label] if label else [])))


def _check_box(box: object, name: str) -> Doc:
    if not isinstance(box, dict):
        raise Refused(f"{name} should be an object")
    sides = {side: check_integer(box.get(side), f"{name}.{side}") for side in _SIDES}
    if sides["width"] <= 0 or sides["height"] <= 0:
        raise Refused(f"{name} should have a width and height above 0")
    return {"label": check_text(box.get("label"), f"{name}.label"), **sides}


def _clip(box: Doc, size: tuple[int, int]) -> Doc | None:
    left, top = max(0, box["x"]), max(0, box["y"])
    right, bottom = min(size[0], box["x"] + box["width"]), min(size[1], box["y"] + box["height"])
    if right <= left or bottom <= top:
        return None
    return {"label": box["label"], "x": left, "y": top, "width": right - left, "height": bottom - top}


def _check_range(item: object, name: str, count: int) -> Doc:
    if not isinstance(item, dict):
        raise Refused(f"{name} should be an object")
    start = check_integer(item.get("startIndex"), f"{name}.startIndex")
    end = check_integer(item.get("endIndex"), f"{name}.endIndex")
    if start < 0 or end < start:
        raise Refused(f"{name} should have 0 <= startIndex <= endIndex, not {start} and {end}")
    if end >= count:
        raise Refused(f"{name}.endIndex ({end}) is past the last index of the sample ({count - 1})")
    checked: Doc = {
        "startIndex": start,
        "endIndex": end,
        "label": check_text(item.get("label"), f"{name}.label"),
    }
    if item.get("labelMap") is not None:
        checked["labelMap"] = item["labelMap"]
    return checked


def _merge(painted: np.ndarray[tuple[int, ...], np.dtype[np.int32]], ranges: list[Doc]) -> list[Doc]:
    if not painted.size:
        return []
    edges = [0, *(np.flatnonzero(np.diff(painted)) + 1).tolist(), painted.size]
    merged: list[Doc] = []
    for start, end in pairwise(edges):
        piece = {**ranges[int(painted[start])], "startIndex": start, "endIndex": end - 1}
        if merged and _same_meaning(merged[-1], piece):
            merged[-1]["endIndex"] = end - 1
        else:
            merged.append(piece)
    return merged


def _same_meaning(a: Doc, b: Doc) -> bool:
    return bool(a["label"] == b["label"] and a.get("labelMap") == b.get("labelMap"))
