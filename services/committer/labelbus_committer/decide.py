"""Decide what is written: pure functions over what was proposed, what is there, and what was begun before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from labelbus_contracts.jobs import OnConflict
from labelbus_contracts.labels import Base, LabelPart, LabelSet, changed_parts

WRITE_ORDER: Final[tuple[LabelPart, ...]] = ("ranges", "boxes", "label", "disabled", "metadata")
"""Metadata last: a sample that has it has everything."""
Metadata: TypeAlias = frozenset[tuple[str, str]]
"""Keys with values, which may be several for one key."""


@dataclass(frozen=True, slots=True)
class Write:
    """Bring a sample from `found` to `target` by writing `parts`, in order; no parts where nothing is left.

    `changed` are the parts in which the target differs from what was found.
    """

    found: LabelSet
    target: LabelSet
    parts: tuple[LabelPart, ...]
    changed: tuple[LabelPart, ...]


@dataclass(frozen=True, slots=True)
class Hold:
    """Leave the sample as it is: it differs in these parts from what the proposal was computed from."""

    differs: tuple[LabelPart, ...]


@dataclass(frozen=True, slots=True)
class Begun:
    """What an earlier attempt had found and wanted to write, of which any part may have landed."""

    found: LabelSet
    target: LabelSet


def plan(base: LabelSet, draft: LabelSet, live: LabelSet | None, on_conflict: OnConflict) -> Write | Hold:
    """Plan a first attempt. `live` is None where the base is fresh enough to be taken for it.

    A sample that holds the draft already needs no write. Overwriting writes the parts in which the draft
    differs from its base, and leaves a person's changes to the other parts and other metadata keys alone.
    """
    if live is None or not (differs := differences(base, live)):
        live = base if live is None else live
        return _write(live, _on_top(base, draft, live))
    if not differences(draft, live):
        return _write(live, live)
    if on_conflict == "hold":
        return Hold(differs)
    return _write(live, _on_top(base, draft, live))


def resume(begun: Begun, live: LabelSet, *, added: Metadata = frozenset()) -> Write | Hold:
    """Plan the rest of an attempt that ended unseen.

    Every part must be as it was found or as it was to be; anything else is somebody's change, but for the
    metadata that other jobs of ours may have `added` at their end: it stays.
    """
    begun = _beside(begun, live, added)
    from_found = set(differences(begun.found, live))
    from_target = set(differences(begun.target, live))
    if _merged_metadata(begun) == live.metadata:
        from_target.discard("metadata")
    foreign = from_found & from_target
    if foreign:
        return Hold(_ordered(foreign))
    changed = differences(begun.found, begun.target)
    return Write(begun.found, begun.target, _writable(from_target), changed)


def is_untouched(rest: Write, live: LabelSet) -> bool:
    """Tell whether nothing of an earlier attempt, whose rest this is, has landed."""
    return not differences(rest.found, live)


def unwritable(base: Base, draft: LabelSet) -> str | None:
    """Say why Studio could never hold this draft, or None."""
    if (base.labels.label_map or {}) != (draft.label_map or {}):
        return "Studio takes no label map of a whole sample. Use a labeler that leaves it alone."
    return None


def explains(target: LabelSet, live: LabelSet, *, added: Metadata) -> bool:
    """Tell whether a commit of `target` accounts for what is there; jobs may have `added` metadata since."""
    return not differences(_with_metadata(target, _there_of(added, live)), live)


def differences(one: LabelSet, other: LabelSet) -> tuple[LabelPart, ...]:
    """Return the parts in which two label sets differ, in the order of writing.

    A sample with ranges has no label of its own: Studio ignores it.
    """
    parts = set(changed_parts(one, other))
    if one.ranges and other.ranges:
        parts.discard("label")
    return _ordered(parts)


def _write(live: LabelSet, target: LabelSet) -> Write:
    changed = differences(live, target)
    return Write(live, target, _writable(set(changed)), changed)


def _on_top(base: LabelSet, draft: LabelSet, live: LabelSet) -> LabelSet:
    """Return `live` with the changes from `base` to `draft` made to it."""
    changed = changed_parts(base, draft)
    updates: dict[str, object] = {name: getattr(draft, name) for name in changed}
    if "metadata" in changed:
        updates["metadata"] = _rebased(base.metadata, draft.metadata, live.metadata)
    return live.model_copy(update=updates)


def _rebased(base: Mapping[str, str], draft: Mapping[str, str], live: Mapping[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in live.items() if key in draft or key not in base}
    return kept | {key: value for key, value in draft.items() if base.get(key) != value}


def _beside(begun: Begun, live: LabelSet, added: Metadata) -> Begun:
    """Return an attempt as if what others added meanwhile had been there; what it changes itself stays so."""
    there = _there_of(added, live)
    found, target = begun.found.metadata, begun.target.metadata
    kept = {key: value for key, value in there.items() if found.get(key) == target.get(key)}
    return Begun(_with_metadata(begun.found, there), _with_metadata(begun.target, kept))


def _there_of(added: Metadata, live: LabelSet) -> dict[str, str]:
    return {key: value for key, value in live.metadata.items() if (key, value) in added}


def _with_metadata(labels: LabelSet, more: Mapping[str, str]) -> LabelSet:
    return labels.model_copy(update={"metadata": {**labels.metadata, **more}}) if more else labels


def _merged_metadata(begun: Begun) -> dict[str, str]:
    """Return what is there after the write where Studio adds to the metadata instead of replacing it."""
    return {**begun.found.metadata, **begun.target.metadata}


def _ordered(parts: set[LabelPart]) -> tuple[LabelPart, ...]:
    order: tuple[LabelPart, ...] = (*WRITE_ORDER, "label_map")
    return tuple(part for part in order if part in parts)


def _writable(parts: set[LabelPart]) -> tuple[LabelPart, ...]:
    return tuple(part for part in WRITE_ORDER if part in parts)
