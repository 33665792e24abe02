"""Compare two JSON Schemas: what was valid under the old one must be valid under the new one."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

Schema: TypeAlias = Mapping[str, Any]  # JSON as `json.loads` returns it
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_TYPES: Final[dict[type, str]] = {str: "string", bool: "boolean", int: "integer", float: "number"}


def breaking(old: Schema, new: Schema) -> list[str]:
    """Return what breaks, one line each: removed fields, new required ones, narrowed types and values."""
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
                return
            self._seen.add(pair)
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        if "anyOf" in old or "anyOf" in new:
            yield from self._variants(old, new, where)
            return
        if not _types(old) <= _types(new) and _types(new):
            yield f"{where}: {_shown(old)} became {_shown(new)}"
            return
        yield from _values(old, new, where)
        yield from _bounds(old, new, where)
        yield from self._fields(old, new, where)
        yield from self._items(old, new, where)

    def _variants(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        """Every old variant must be allowed by some new one."""
        for variant in old.get("anyOf", [old]):
            if not any(self._fits(variant, candidate) for candidate in new.get("anyOf", [new])):
                yield f"{where}: {_shown(_resolved(variant, self._old))} is not allowed any more"

    def _fits(self, old: Schema, new: Schema) -> bool:
        return not list(_Comparison(self._old, self._new).compare(old, new, ""))

    def _fields(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name, schema in before.items():
            if name not in after:
                yield f"{where}.{name}: the field was removed"
            else:
                yield from self.compare(schema, after[name], f"{where}.{name}")
        for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
            yield f"{where}.{name}: the field is required now"

    def _items(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        for name in ("items", "additionalProperties"):
            before, after = old.get(name), new.get(name)
            if isinstance(before, Mapping) and isinstance(after, Mapping):
                yield from self.compare(before, after, f"{where}[]")
            elif before not in (None, False) and after is False:
                yield f"{where}: {name} are not allowed any more"
            elif before in (None, True) and isinstance(after, Mapping) and after and _types(old) & {"array"}:
                yield f"{where}: items are restricted now"


def _resolved(schema: Schema, document: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Schema = document["$defs"][str(reference).removeprefix("#/$defs/")]
    return found


def _types(schema: Schema) -> set[str]:
    """Return the types that a schema allows; none means any. A number may be an integer."""
    if "const" in schema:
        return {_TYPES[type(schema["const"])]}
    types = schema.get("type", [_TYPES[type(value)] for value in schema.get("enum", ())])
    allowed = {types} if isinstance(types, str) else set(types)
    return allowed | {"integer"} if "number" in allowed else allowed


def _values(old: Schema, new: Schema, where: str) -> Iterator[str]:
    before, after = _choices(old), _choices(new)
    if after is None:
        return
    if before is None:
        yield f"{where}: only {', '.join(map(str, after))} are allowed now"
        return
    for value in before:
        if value not in after:
            yield f"{where}: {value!r} is not allowed any more"


def _choices(schema: Schema) -> list[object] | None:
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if "enum" in schema else None


def _bounds(old: Schema, new: Schema, where: str) -> Iterator[str]:
    for name in (*_LOWER, *_UPPER):
        before, after = old.get(name), new.get(name)
        if after is None:
            continue
        is_lower = name in _LOWER
        if before is None or (after > before if is_lower else after < before):
            yield f"{where}: {name} {before} became {after}"
    if new.get("pattern") is not None and new.get("pattern") != old.get("pattern"):
        yield f"{where}: pattern {old.get('pattern')} became {new['pattern']}"
    if new.get("format") is not None and new.get("format") != old.get("format"):
        yield f"{where}: format {old.get('format')} became {new['format']}"


def _shown(schema: Schema) -> str:
    return str(schema.get("title") or " or ".join(sorted(_types(schema))) or "anything")
