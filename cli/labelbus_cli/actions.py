"""Read an action file: YAML that becomes an `ActionSpec`, with errors that name file, line and column."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath

from labelbus_contracts.jobs import MERGE, ActionSpec, Branch, DataFilter, StepSpec
from labelbus_dispatcher.merge import MERGE_REGISTRATION, condition_fault, merge_fault
from labelbus_labeling.labeler import Registration
from labelbus_labeling.registry import check_together, validate_parameters
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from labelbus_cli.errors import BadInput
from labelbus_cli.yaml_marks import Document, Path, Place, parse

_MOST_BYTES = 1_000_000


def read_action(path: FilePath, labelers: Mapping[str, Registration]) -> ActionSpec:
    """Read and check `path`. Raises `BadInput` with every fault found, one per line."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadInput(f"The action file {path} is larger than 1 MB. Actions are small texts.")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadInput(
            f"The action file {path} does not exist. `labelbus actions new LABELER > {path}` writes one."
        ) from error
    except OSError as error:
        raise BadInput(
            f"The action file {path} cannot be read: {error.strerror}. Give the path of a YAML file."
        ) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"The action file {path} is no UTF-8 text. Save it as UTF-8.") from error
    return action_of(parse(text, str(path)), labelers)


def action_of(document: Document, labelers: Mapping[str, Registration]) -> ActionSpec:
    """Check a parsed action. Raises `BadInput` with every fault found, one per line."""
    if not isinstance(document.value, dict):
        raise document.error((), "An action is a mapping with the keys name and steps.")
    try:
        spec = ActionSpec.model_validate(document.value)
    except ValidationError as error:
        faults = [
            _fault(document, detail, ActionSpec, ())
            for detail in error.errors()
            if detail["type"] != "too_short" or not detail["input"]  # else it only counts what is right in it
        ]
        raise _together([*faults, *_unknown_keys(document)]) from error
    faults = _unknown_keys(document)
    for index, step in enumerate(spec.steps):
        faults += _step_faults(document, index, step, labelers)
    if not faults:
        faults = _clash(document, spec, labelers)
    if faults:
        raise _together(faults)
    return spec


def check_action(action: ActionSpec, labelers: Mapping[str, Registration]) -> None:
    """Check an action that comes from no file. Raises `BadInput` with every fault, one per line."""
    value = action.model_dump(mode="json", exclude_defaults=True, exclude={"revision"})
    action_of(Document(f"action {action.shown_name}", value, []), labelers)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence that proposes the most similar known name, or lists them."""
    names = sorted(known)
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known: {', '.join(names) or 'none'}."


def _step_faults(
    document: Document, index: int, step: StepSpec, labelers: Mapping[str, Registration]
) -> list[BadInput]:
    path: Path = ("steps", index)
    fault = merge_fault(step)
    if fault is not None:
        key = "branches" if step.branches else "labeler"
        return [document.error((*path, key), f"Step {index}: {fault}", key=True)]
    if (fault := condition_fault(step.when)) is not None:
        return [document.error((*path, "when"), f"Step {index}: {fault}", key=True)]
    if not step.branches:
        return _work_faults(document, path, step, labelers)
    faults = _work_faults(document, path, step, {MERGE: MERGE_REGISTRATION})
    for number, branch in enumerate(step.branches):
        faults += _work_faults(document, (*path, "branches", number), branch, labelers)
    return faults


def _clash(document: Document, action: ActionSpec, labelers: Mapping[str, Registration]) -> list[BadInput]:
    """Find the first labeler that cannot work after those before it."""
    registrations = [(labelers[place.work.labeler], place.work.parameters) for place in action.places]
    clash = check_together([(one, validate_parameters(one, given)) for one, given in registrations])
    if clash is None:
        return []
    place = action.places[clash.place]
    path: Path = ("steps", place.step)
    if place.spec.branches:
        path = (*path, "branches", clash.place - place.begins)
    return [document.error((*path, "labeler"), f"Step {place.step}: {clash.reason}")]


def _work_faults(
    document: Document, path: Path, work: Branch, labelers: Mapping[str, Registration]
) -> list[BadInput]:
    registration = labelers.get(work.labeler)
    if registration is None:
        text = f"There is no labeler '{work.labeler}'. {nearest(work.labeler, labelers)}"
        return [document.error((*path, "labeler"), text)]
    try:
        registration.parameters.model_validate(dict(work.parameters))
    except ValidationError as error:
        where: Path = (*path, "parameters")
        return [_fault(document, detail, registration.parameters, where) for detail in error.errors()]
    return []


def _fault(document: Document, detail: ErrorDetails, model: type[BaseModel], under: Path) -> BadInput:
    path: Path = (*under, *detail["loc"])
    name = _said(detail["loc"])
    match detail["type"]:
        case "missing":
            return document.error(path[:-1], f"'{name}' is missing. Add it.")
        case "extra_forbidden":
            text = f"There is no parameter '{name}'. {nearest(name, model.model_fields)}"
            return document.error(path, text, key=True)
        case "too_short":
            return document.error(path, f"'{name}' is empty. Name one at least.")
        case "value_error":
            error = (detail.get("ctx") or {}).get("error")
            return _value_fault(document, path, name, error)
        case "model_type" | "dict_type":
            return document.error(path, f"'{name}' is wrong: it takes a mapping, with a key in every line.")
        case _:
            given = detail.get("input")
            shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool) else ""
            quotes = " Write it in quotes." if shown and detail["type"] == "string_type" else ""
            return document.error(path, f"'{name}' is wrong: {detail['msg']}{shown}.{quotes}")


def _said(loc: tuple[int | str, ...]) -> str:
    """Return the name of what is wrong; an item of a list by the list's name and its number, from 0."""
    if len(loc) > 1 and isinstance(loc[-1], int):
        return f"{loc[-2]}[{loc[-1]}]"
    return str(loc[-1]) if loc else ""


def _value_fault(document: Document, path: Path, name: str, error: object) -> BadInput:
    """Turn a check of a parameter into a fault; one that knows line and column points into the text."""
    line, column = getattr(error, "line", None), getattr(error, "column", None)
    fact = getattr(error, "fact", error)
    text = f"'{name}' is wrong: {fact}" if name else str(fact)
    if isinstance(line, int):
        place: Place = document.place_in_text(path, line, column if isinstance(column, int) else 1)
        return BadInput(f"{document.name}:{place.line}:{place.column}: {text}")
    return document.error(path, text)


def _unknown_keys(document: Document) -> list[BadInput]:
    """Find keys that the wire would silently ignore."""
    value = document.value
    if not isinstance(value, dict):
        return []
    faults = _extra(document, (), value, ActionSpec)
    data = value.get("data")
    if isinstance(data, dict):
        faults += _extra(document, ("data",), data, DataFilter)
        for name in ("with_metadata", "without_metadata"):
            if isinstance(data.get(name), dict):
                faults += _extra(document, ("data", name), data[name], _model_of(DataFilter, name))
    steps = value.get("steps")
    for index, step in enumerate(steps if isinstance(steps, list) else []):
        if isinstance(step, dict):
            faults += _extra(document, ("steps", index), step, StepSpec)
            faults += _unknown_in_branches(document, index, step.get("branches"))
            if isinstance(step.get("when"), dict):
                faults += _extra(
                    document, ("steps", index, "when"), step["when"], _model_of(StepSpec, "when")
                )
    return faults


def _unknown_in_branches(document: Document, index: int, branches: object) -> list[BadInput]:
    faults: list[BadInput] = []
    for number, branch in enumerate(branches if isinstance(branches, list) else []):
        if isinstance(branch, dict):
            faults += _extra(document, ("steps", index, "branches", number), branch, Branch)
    return faults


def _model_of(model: type[BaseModel], name: str) -> type[BaseModel]:
    """Return the model in the annotation `Model | None` of a field."""
    options = getattr(model.model_fields[name].annotation, "__args__", ())
    return next(one for one in options if isinstance(one, type) and issubclass(one, BaseModel))


def _extra(
    document: Document, path: Path, value: dict[str, object], model: type[BaseModel]
) -> list[BadInput]:
    known = set(model.model_fields) - {"revision"}
    unknown = [key for key in value if str(key) not in known]
    return [
        document.error((*path, str(key)), f"Unknown key '{key}'. {nearest(str(key), known)}", key=True)
        for key in unknown
    ]


def _together(faults: list[BadInput]) -> BadInput:
    lines = list(dict.fromkeys(str(fault) for fault in faults))
    return BadInput("\n".join(lines))
