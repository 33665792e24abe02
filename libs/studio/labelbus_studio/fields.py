"""Reading fields of Studio's JSON: optional ones may be absent or null, numbers may be floats."""

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from labelbus_contracts.labels import LabelingMethod

from labelbus_studio.answers import Json
from labelbus_studio.errors import StudioConfused

_METHODS: Mapping[object, LabelingMethod] = {
    "single_label": "single_label",
    "object_detection": "object_detection",
    "label_map": "label_map",
}
_LARGEST = 2**53


def whole(value: object, name: str) -> int:
    """Return a number as an integer, rounded. Raises `StudioConfused`."""
    if type(value) is int and -_LARGEST <= value <= _LARGEST:
        return value
    if isinstance(value, float) and math.isfinite(value) and abs(value) <= _LARGEST:
        return round(value)
    raise StudioConfused(f"Studio's {name} is not a number: {_shown(value)}.")


def optional_whole(value: object, name: str) -> int | None:
    """Return a number as an integer, or None where it is absent. Raises `StudioConfused`."""
    return None if value is None else whole(value, name)


def optional_number(value: object) -> float | None:
    """Return a finite number, or None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST:
        return float(value)
    return None


def number(value: object, name: str) -> float:
    """Return a finite number. Raises `StudioConfused`."""
    read = optional_number(value)
    if read is None:
        raise StudioConfused(f"Studio's {name} is not a number: {_shown(value)}.")
    return read


def text(value: object) -> str:
    """Return a text; anything else is empty, but numbers are written out."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def texts(value: object) -> dict[str, str]:
    """Return a map of texts: other values as JSON, nulls left out. Raises `StudioConfused`."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise StudioConfused(f"Studio's metadata is not an object: {_shown(value)}.")
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in value.items() if v is not None}


def rows(value: object, name: str) -> Iterator[Json]:
    """Yield the objects of a list; an absent list is empty. Raises `StudioConfused`."""
    if value is None:
        return
    if not isinstance(value, list):
        raise StudioConfused(f"Studio's {name} is not a list: {_shown(value)}.")
    for row in value:
        if not isinstance(row, dict):
            raise StudioConfused(f"Studio's {name} holds something else than objects: {_shown(row)}.")
        yield row


def part(value: object) -> Json:
    """Return an object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def time(value: object) -> datetime | None:
    """Read an ISO 8601 time as UTC; anything else is None."""
    if not isinstance(value, str):
        return None
    try:
        when = datetime.fromisoformat(value)
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def labeling_method(value: object) -> LabelingMethod:
    """Read a labeling method; one that we do not know is `unknown`."""
    return _METHODS.get(value, "unknown") if isinstance(value, str) else "unknown"


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
