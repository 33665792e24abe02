"""An action of ours as Studio's AI labeling action, and back. Pure.

Studio knows blocks by number, keeps every parameter as a text, and has neither conditions nor branches.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from labelbus_contracts.jobs import ActionSpec, DataFilter, MetadataMatch, StepSpec
from labelbus_labeling.labeler import Registration
from labelbus_studio.action_calls import StudioAction, StudioStep
from pydantic import JsonValue, ValidationError

from labelbus_cli.block_arguments import options, value_of
from labelbus_cli.errors import BadInput

_CATEGORIES: Final = {"all": "allData", "unlabeled": "unlabeledData", "enabled": "enabledData"}


@dataclass(frozen=True, slots=True)
class Pulled:
    """An action read from Studio; `notes` tell what was left out."""

    action: ActionSpec
    notes: tuple[str, ...] = ()


def to_studio(
    action: ActionSpec, blocks: Mapping[str, int], labelers: Mapping[str, Registration], *, action_id: int
) -> StudioAction:
    """Return Studio's form of an action. Raises `BadInput` that names the step or the filter."""
    category, match = _category(action.data)
    steps = tuple(_studio_step(number, step, blocks, labelers) for number, step in enumerate(action.steps))
    return StudioAction(
        id=action_id,
        name=action.name,
        steps=steps,
        data_category=category,
        data_metadata_key=match.key if match else None,
        data_metadata_value=match.value if match else None,
        metadata_after=action.metadata_after,
    )


def from_studio(
    studio: StudioAction, blocks: Mapping[str, int], labelers: Mapping[str, Registration]
) -> Pulled:
    """Return our form of Studio's action. Raises `BadInput` that names the step."""
    by_id = {block_id: name for name, block_id in blocks.items()}
    notes: list[str] = []
    steps = []
    for number, step in enumerate(studio.steps):
        name = by_id.get(step.transformation_block_id)
        if name is None:
            block = step.transformation_block_id
            raise BadInput(
                f"Step {number} of Studio's action '{studio.name}' runs block {block}, whose labeler is not "
                f"known. Give it: --block LABELER={block}."
            )
        parameters, left_out = _typed(number, step, labelers[name])
        steps.append(StepSpec(labeler=name, parameters=parameters))
        notes += left_out
    if not steps:
        raise BadInput(f"Studio's action '{studio.name}' has no steps. Add one there first.")
    action = ActionSpec(
        name=studio.name or f"AI labeling action {studio.id}",
        steps=tuple(steps),
        data=_data(studio),
        metadata_after=dict(studio.metadata_after),
    )
    return Pulled(action, tuple(notes))


def _studio_step(
    number: int, step: StepSpec, blocks: Mapping[str, int], labelers: Mapping[str, Registration]
) -> StudioStep:
    said = f"Step {number} ({step.labeler})"
    if step.branches:
        raise BadInput(f"{said} has branches, which Studio has not. Push an action without them.")
    if step.when is not None:
        raise BadInput(f"{said} has a condition, which Studio has not. Push an action without 'when'.")
    if step.labeler not in blocks:
        raise BadInput(
            f"{said} has no block in Studio that is known. Push it as a block with "
            f"`edge-impulse-blocks push`, or name the one that is there: --block {step.labeler}=ID."
        )
    named = {name: option.removeprefix("--") for option, (name, _) in options(labelers[step.labeler]).items()}
    texts = {
        named[name]: _text(said, name, value) for name, value in step.parameters.items() if value is not None
    }
    return StudioStep(blocks[step.labeler], texts)


def _text(said: str, name: str, value: JsonValue) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "\n".join(map(str, value))
    raise BadInput(f"{said}: the parameter '{name}' has no form as text, which Studio keeps. Leave it out.")


def _typed(
    number: int, step: StudioStep, registration: Registration
) -> tuple[dict[str, JsonValue], list[str]]:
    fields = options(registration)
    given: dict[str, object] = {}
    notes = []
    for key, text in step.parameters.items():
        option = f"--{key.removeprefix('--')}"
        if option not in fields:
            notes.append(f"Step {number} ({registration.name}): '{key}' is no parameter of it; left out.")
            continue
        name, info = fields[option]
        if text or info.is_required():
            given[name] = value_of(option, text, info)
    try:
        typed = registration.parameters.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise BadInput(f"Step {number} ({registration.name}) in Studio is wrong: {faults}.") from error
    return typed.model_dump(mode="json", exclude_unset=True), notes


def _category(data: DataFilter) -> tuple[str, MetadataMatch | None]:
    """Return Studio's category of data. Raises `BadInput` for what it cannot say."""
    if data.category != "all" or data.labels or data.name_contains or data.kinds or data.labeled:
        raise BadInput(
            "Studio's actions filter neither by category, label, name nor kind, nor for what is labeled. "
            "Push an action without."
        )
    matches = [one for one in (data.with_metadata, data.without_metadata) if one is not None]
    if not matches:
        return _CATEGORIES[data.which], None
    if len(matches) > 1 or data.which != "all":
        raise BadInput("Studio's actions take one data filter. Keep one of which, with and without metadata.")
    if data.with_metadata is not None and data.with_metadata.value is None:
        raise BadInput("Studio needs a value beside the key of with_metadata. Add it.")
    if data.without_metadata is not None and data.without_metadata.value is not None:
        raise BadInput("Studio's filter without_metadata takes a key only. Leave the value out.")
    return ("dataWithMetadata" if data.with_metadata else "dataWithoutMetadataKey"), matches[0]


def _data(studio: StudioAction) -> DataFilter:
    key, value = studio.data_metadata_key, studio.data_metadata_value
    match studio.data_category:
        case "allData":
            return DataFilter()
        case "unlabeledData":
            return DataFilter(which="unlabeled")
        case "enabledData":
            return DataFilter(which="enabled")
        case "dataWithMetadata" if key:
            return DataFilter(with_metadata=MetadataMatch(key=key, value=value))
        case "dataWithoutMetadataKey" if key:
            return DataFilter(without_metadata=MetadataMatch(key=key))
    raise BadInput(
        f"Studio's action '{studio.name}' chooses data by {studio.data_category}, which is not known here. "
        "Change its data filter there."
    )
