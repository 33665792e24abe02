"""The query of the sample list: parsed once, then asked of every sample."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from labelbus_simulator.documents import Doc
from labelbus_simulator.errors import Refused
from labelbus_simulator.sample import Sample, added_at

CATEGORIES = ("training", "testing", "validation", "post-processing")
Test = Callable[[Sample], bool]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which samples: ids in [min_id, max_id), that pass every test."""

    min_id: int | None = None
    max_id: int | None = None
    tests: list[Test] = field(default_factory=list)
    nothing: bool = False

    def __call__(self, sample: Sample) -> bool:
        return all(test(sample) for test in self.tests)


def parse_filter(query: Mapping[str, str], empty_labels: str) -> Filter:
    """Read the list's parameters; `empty_labels` says what `labels=""` means. Unknown ones are ignored."""
    tests = [_category(query)]
    tests += [test for name, make in _SIMPLE.items() if (value := query.get(name)) and (test := make(value))]
    labels = query.get("labels")
    if labels:
        tests.append(_labels(labels))
    elif labels == "" and empty_labels == "unlabeled":
        tests.append(lambda s: not s.labels)
    return Filter(
        min_id=integer(query, "minId"),
        max_id=integer(query, "maxId"),
        tests=[test for test in tests if test],
        nothing=labels == "" and empty_labels == "nothing",
    )


def integer(query: Mapping[str, str], name: str) -> int | None:
    """A whole number of the query, or None."""
    value = query.get(name)
    if value is None or value == "":
        return None
    try:
        return int(value)
    except ValueError:
        raise Refused(f"{name} should be an integer, not '{value}'") from None


def json_list(value: str, name: str) -> list[object]:
    """A JSON list that travels as text."""
    try:
        parsed = json.loads(value)
    except ValueError:
        raise Refused(f"{name} should be a JSON list") from None
    if not isinstance(parsed, list):
        raise Refused(f"{name} should be a JSON list")
    return parsed


def _category(query: Mapping[str, str]) -> Test | None:
    category = query.get("category")
    if category == "all":
        return None
    if category not in CATEGORIES:
        raise Refused("category is required, one of: all, " + ", ".join(CATEGORIES))
    return lambda s: s.category == category


def _labels(value: str) -> Test:
    wanted = set(json_list(value, "labels"))
    return lambda s: bool(wanted.intersection(s.labels)) or ("" in wanted and not s.labels)


def _search(value: str) -> Test:
    text = value.lower()
    return lambda s: text in f"{s.id} {s.filename}".lower()


def _filename(value: str) -> Test:
    text = value.lower()
    return lambda s: text in s.filename.lower()


def _enabled(value: str) -> Test | None:
    return {"enabled": lambda s: not s.is_disabled, "disabled": lambda s: s.is_disabled}.get(value)


def _signature(value: str) -> Test | None:
    return (lambda s: False) if value == "invalid" else None


def _data_type(value: str) -> Test:
    return lambda s: s.kind == value


def _least(read: Callable[[Sample], float]) -> Callable[[str], Test]:
    return lambda value: lambda s: read(s) >= float(value)


def _most(read: Callable[[Sample], float]) -> Callable[[str], Test]:
    return lambda value: lambda s: read(s) <= float(value)


def _number_label(value: str, *, least: bool) -> Test:
    bound = float(value)

    def test(sample: Sample) -> bool:
        try:
            number = float(sample.label)
        except ValueError:
            return False
        return number >= bound if least else number < bound

    return test


def _moment(value: str) -> datetime:
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00").replace(" ", "+"))
    except ValueError:
        raise Refused(f"'{value}' is no date-time") from None


def _since(value: str) -> Test:
    return lambda s: added_at(s.id) >= _moment(value)


def _until(value: str) -> Test:
    return lambda s: added_at(s.id) <= _moment(value)


def _metadata(value: str) -> Test:
    rules: list[Test] = []
    combine: Callable[[list[bool]], bool] = all
    for item in json_list(value, "metadata"):
        if not isinstance(item, dict):
            raise Refused("metadata should be a JSON list of objects")
        if "filters_combinator" in item:
            combine = any if item["filters_combinator"] == "or" else all
        else:
            rules.append(_metadata_rule(item))
    return lambda s: combine([rule(s) for rule in rules]) if rules else True


def _metadata_rule(item: Doc) -> Test:
    if "no_metadata" in item:
        return lambda s: bool(s.metadata) != bool(item["no_metadata"])
    key, values, equal = item.get("key"), item.get("values"), item.get("op") != "neq"
    if not isinstance(key, str):
        raise Refused("metadata filters need a key")
    if not values:
        return lambda s: (key in s.metadata) == equal
    return lambda s: (s.metadata.get(key) in values) == equal


_SIMPLE: Mapping[str, Callable[[str], Test | None]] = {
    "filename": _filename,
    "search": _search,
    "includeDisabled": _enabled,
    "signatureValidity": _signature,
    "dataType": _data_type,
    "minLength": _least(lambda s: s.length_ms),
    "maxLength": _most(lambda s: s.length_ms),
    "minFrequency": _least(lambda s: s.frequency),
    "maxFrequency": _most(lambda s: s.frequency),
    "minLabel": lambda value: _number_label(value, least=True),
    "maxLabel": lambda value: _number_label(value, least=False),
    "minDate": _since,
    "maxDate": _until,
    "metadata": _metadata,
}
