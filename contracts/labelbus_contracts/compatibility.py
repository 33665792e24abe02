"""Compare two JSON Schemas of one major version: an optional field may be new, nothing else may differ.

What narrows breaks older writers, what widens breaks older readers, and during an upgrade both run at once.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

Schema: TypeAlias = Mapping[str, Any]  # JSON as `json.loads` returns it
_WORDS: Final = frozenset({"title", "description", "examples", "deprecated", "$comment", "$schema"})
_APART: Final = _WORDS | {"$ref", "$defs", "properties", "required"}


def breaking(old: Schema, new: Schema) -> list[str]:
    """Return every difference that is not a new optional field or other words, one line each."""
    return list(_Comparison(old, new).compare(old, new, "$"))


class _Comparison:
    """Two documents, each with definitions of its own."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old
        self._new = new
        self._seen: set[tuple[str, str]] = set()

    def compare(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        pair = (str(old.get("$ref", "")), str(new.get("$ref", "")))
        if all(pair):
            if pair in self._seen:
                yield from _rules(_beside(old), _beside(new), where)
                return
            self._seen.add(pair)
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        yield from self._fields(old, new, where)
        yield from _rules(old, new, where)
        for name in sorted((old.keys() & new.keys()) - _APART - {"default"}):
            yield from self._inside(old[name], new[name], where if name == "anyOf" else f"{where}[]")

    def _fields(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name, schema in before.items():
            if name not in after:
                yield f"{where}.{name}: the field was removed"
            else:
                yield from self.compare(schema, after[name], f"{where}.{name}")
        needed, needed_now = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted(needed_now - needed):
            yield f"{where}.{name}: the field is required now"
        for name in sorted((needed - needed_now) & after.keys()):
            yield f"{where}.{name}: the field may be left out now"

    def _inside(self, old: Any, new: Any, where: str) -> Iterator[str]:
        """Compare schemas that a schema holds: of items, or of the variants of a value."""
        if _is_schema(old) and _is_schema(new):
            yield from self.compare(old, new, where)
        elif _are_schemas(old) and _are_schemas(new):
            for one, other in zip(old, new, strict=False):
                yield from self.compare(one, other, where)


def _rules(old: Schema, new: Schema, where: str) -> Iterator[str]:
    """Compare what a schema says of its value itself: type, choices, bounds, default."""
    for name in sorted((old.keys() | new.keys()) - _APART):
        if not _same_rule(name, old, new):
            yield f"{where}: {name} {_shown(old.get(name))} became {_shown(new.get(name))}"


def _same_rule(name: str, old: Schema, new: Schema) -> bool:
    if name not in old or name not in new:
        return False
    before, after = old[name], new[name]
    if name == "default":
        return _holds(before, after)
    if name == "enum":
        return sorted(map(repr, before)) == sorted(map(repr, after))
    if _is_schema(before) and _is_schema(after):
        return True  # compared inside
    if _are_schemas(before) and _are_schemas(after):
        return len(before) == len(after)
    return bool(before == after)


def _holds(before: Any, after: Any) -> bool:
    """Tell whether a default says what it said; a value's new optional fields may show in it."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return all(name in after and _holds(value, after[name]) for name, value in before.items())
    return bool(before == after)


def _is_schema(value: Any) -> bool:
    return isinstance(value, Mapping)


def _are_schemas(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_schema, value))


def _beside(schema: Schema) -> Schema:
    return {name: value for name, value in schema.items() if name != "$ref"}


def _resolved(schema: Schema, document: Schema) -> Schema:
    """Return what a reference means, with what is said beside it."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    return {**document["$defs"][str(reference).removeprefix("#/$defs/")], **_beside(schema)}


def _shown(value: Any) -> str:
    """Write a rule in one line; variants by their names."""
    if _are_schemas(value) and value:
        return " or ".join(str(one.get("type") or one.get("$ref", "anything")) for one in value)
    return "none" if value is None else repr(value)
