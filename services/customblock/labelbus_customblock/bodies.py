"""The bodies that blocks send to Studio, read with Studio's own checks. All raise `BadWrite`."""

import math
from collections.abc import Mapping

from labelbus_contracts.labels import BoundingBox, TimeRange
from labelbus_studio.proposals import ProposedChanges
from pydantic_core import from_json

from labelbus_customblock.errors import BadWrite

_CHANGES = frozenset({"label", "isDisabled", "boundingBoxes", "metadata", "structuredLabels"})


def json_object(content: bytes) -> dict[str, object]:
    """Return the JSON object of a request; nothing at all counts as an empty one."""
    if not content.strip():
        return {}
    try:
        body = from_json(content)
    except ValueError:
        raise BadWrite("the body is not JSON") from None
    if not isinstance(body, dict):
        raise BadWrite("the body is no JSON object")
    return body


def changes_of(value: object, *, values_count: int | None) -> ProposedChanges:
    """Read a `proposedChanges` object; null means not given."""
    if not isinstance(value, dict):
        raise BadWrite("proposedChanges is missing or no object")
    given = {name: one for name, one in value.items() if one is not None}
    unknown = sorted(set(given) - _CHANGES)
    if unknown:
        raise BadWrite(f"proposedChanges has {', '.join(map(repr, unknown))}, which Studio does not know")
    disabled = given.get("isDisabled")
    if disabled is not None and not isinstance(disabled, bool):
        raise BadWrite("isDisabled is neither true nor false")
    return ProposedChanges(
        label=text_of(given["label"], "label") if "label" in given else None,
        is_disabled=disabled,
        boxes=boxes_of(given["boundingBoxes"]) if "boundingBoxes" in given else None,
        ranges=ranges_of(given["structuredLabels"], values_count) if "structuredLabels" in given else None,
        metadata=metadata_of(given["metadata"]) if "metadata" in given else None,
    )


def boxes_of(value: object) -> tuple[BoundingBox, ...]:
    """Read boxes in pixels; fractions are rounded. A `score` from 0 to 1 is kept, which Studio would drop."""
    return tuple(_box(one, f"boundingBoxes[{nr}]") for nr, one in enumerate(_list(value, "boundingBoxes")))


def ranges_of(value: object, values_count: int | None) -> tuple[TimeRange, ...]:
    """Read ranges of sample indexes, both ends included; they must cover a sample of `values_count`."""
    ranges = tuple(
        _range(one, f"structuredLabels[{nr}]", values_count)
        for nr, one in enumerate(_list(value, "structuredLabels"))
    )
    if values_count is not None:
        _check_covered(ranges, values_count)
    return ranges


def metadata_of(value: object) -> dict[str, str]:
    """Read metadata: texts by text. Numbers and truth values are taken as texts, as JSON writes them."""
    if not isinstance(value, dict):
        raise BadWrite("metadata is missing or no object")
    return {name: _metadata_text(name, one) for name, one in value.items()}


def text_of(value: object, name: str) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise BadWrite(f"{name} is missing or no text")
    return value


def _box(value: object, where: str) -> BoundingBox:
    box = _object(value, where)
    x, y = _pixel(box, "x", where), _pixel(box, "y", where)
    width, height = _pixel(box, "width", where), _pixel(box, "height", where)
    if width <= 0 or height <= 0:
        raise BadWrite(f"{where} is {width} * {height} pixels; both must be above 0")
    score = box.get("score")
    if score is not None and (not _is_number(score) or not 0 <= float(str(score)) <= 1):
        raise BadWrite(f"{where}.score is {score!r:.40}, not a number from 0 to 1")
    label = text_of(box.get("label"), f"{where}.label")
    known = None if score is None else float(str(score))
    return BoundingBox(label=label, x=x, y=y, width=width, height=height, score=known)


def _range(value: object, where: str, values_count: int | None) -> TimeRange:
    given = _object(value, where)
    start, end = (_index(given, name, where) for name in ("startIndex", "endIndex"))
    if not 0 <= start <= end or (values_count is not None and end >= values_count):
        size = "" if values_count is None else f" of {values_count} values"
        raise BadWrite(f"{where} goes from {start} to {end}, which is no part of the sample{size}")
    label_map = given.get("labelMap")
    named = None
    if label_map is not None:
        named = metadata_of(_object(label_map, f"{where}.labelMap").get("labels")) or None
    label = text_of(given.get("label"), f"{where}.label")
    return TimeRange(start_index=start, end_index=end, label=label, label_map=named)


def _check_covered(ranges: tuple[TimeRange, ...], values_count: int) -> None:
    covered = 0
    for one in sorted(ranges, key=lambda one: one.start_index):
        if one.start_index > covered:
            break
        covered = max(covered, one.end_index + 1)
    if covered < values_count:
        raise BadWrite(f"structuredLabels say nothing of index {covered}; they must cover the whole sample")


def _pixel(box: Mapping[str, object], name: str, where: str) -> int:
    value = box.get(name)
    if not _is_number(value):
        raise BadWrite(f"{where}.{name} is {value!r:.40}, not a number")
    number = float(str(value))
    if not math.isfinite(number) or abs(number) > 1e9:
        raise BadWrite(f"{where}.{name} is {value!r:.40}, not a pixel")
    return round(number)


def _index(given: Mapping[str, object], name: str, where: str) -> int:
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadWrite(f"{where}.{name} is {value!r:.40}, not a whole number")
    return value


def _metadata_text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise BadWrite(f"metadata[{name!r}] is {type(value).__name__}, not a text")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _list(value: object, name: str) -> list[object]:
    if not isinstance(value, list):
        raise BadWrite(f"{name} is missing or no list")
    return value


def _object(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadWrite(f"{where} is no object")
    return value
