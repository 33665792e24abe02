"""Read a block's command line as Edge Impulse Studio writes it, generated from the labeler's parameters.

Values may begin with a dash, unknown arguments are named and ignored, the two characters backslash-n are
a newline, flags may come with or without a value. What is no text and comes empty counts as not given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from labelbus_labeling.labeler import LabelerParameters, Registration
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from labelbus_cli.errors import BadInput

_IDS: Final = "--data-ids-file"
_PROPOSE: Final = "--propose-actions"
_LIMIT: Final = "--limit"
_COMMON_FLAGS: Final = frozenset({"--verbose"})
_FILLED: Final = frozenset({"boolean", "int", "float", "select"})
"""What an empty text cannot be: Edge Impulse's own blocks take their default then."""
_TRUTHS: Final = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class BlockArguments:
    """What Studio asked of a block. Without `studio_job_id` the block writes.

    Without an `ids_file` the labeler itself chooses the samples, where it can.

    `secrets` are keys that came as arguments, by the environment variable under which they are known from
    here on: parameters hold the names only. `limit` is how many samples are worked on.
    """

    ids_file: Path | None
    studio_job_id: int | None
    given: dict[str, object]
    parameters: LabelerParameters
    ignored: tuple[str, ...]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    limit: int | None = None


def read_arguments(argv: Sequence[str], registration: Registration) -> BlockArguments:
    """Read a command line. Raises `BadInput`."""
    fields = options(registration)
    flags = {name for name, (_, info) in fields.items() if kind(info) == "flag"}
    found, ignored = _pairs(list(argv), known={*fields, _IDS, _PROPOSE, _LIMIT}, flags=flags)
    if _IDS not in found and registration.chooses is None:
        raise BadInput(f"Missing {_IDS}. Give the JSON file with the ids of the samples.")
    given: dict[str, object] = {}
    secrets: dict[str, str] = {}
    for option, value in found.items():
        if option in fields:
            name, info = fields[option]
            if kind(info) in _FILLED and not str(value).strip():
                continue
            if extra_of(info).get("secret"):
                value = _named(option, name, value, secrets)
            given[name] = value_of(option, value, info)
    return BlockArguments(
        ids_file=Path(str(found[_IDS])) if _IDS in found else None,
        studio_job_id=_number(_PROPOSE, found.get(_PROPOSE), "the number of the preview job", least=0)
        or None,
        given=given,
        parameters=_parameters(registration, given, fields),
        ignored=tuple(ignored),
        secrets=secrets,
        limit=_number(_LIMIT, found.get(_LIMIT), "the number of samples to work on, 1 or more", least=1),
    )


def options(registration: Registration) -> dict[str, tuple[str, FieldInfo]]:
    """Return (field name, field) by the option that sets it."""
    return {
        str(extra_of(info).get("param", f"--{name.replace('_', '-')}")): (name, info)
        for name, info in registration.parameters.model_fields.items()
    }


def kind(info: FieldInfo) -> str:
    """Return the form's type of a field: flag, boolean, int, float, select or string."""
    extra = extra_of(info)
    if "type" in extra:
        return str(extra["type"])
    if "valid" in extra:
        return "select"
    text = str(info.annotation)
    if info.annotation is bool:
        return "boolean"
    if info.annotation is int:
        return "int"
    return "float" if info.annotation is float or "float" in text else "string"


def extra_of(info: FieldInfo) -> Mapping[str, object]:
    """Return what the field says about Edge Impulse's form."""
    return dict(info.json_schema_extra) if isinstance(info.json_schema_extra, dict) else {}


def _pairs(argv: list[str], *, known: set[str], flags: set[str]) -> tuple[dict[str, str | bool], list[str]]:
    found: dict[str, str | bool] = {}
    ignored: list[str] = []
    at = 0
    while at < len(argv):
        option, equals, attached = argv[at].partition("=")
        at += 1
        follows = argv[at] if at < len(argv) else None
        if option in flags or option in _COMMON_FLAGS:
            value: str | bool = attached if equals else True
            if not equals and follows is not None and follows.lower() in _TRUTHS:
                value, at = follows, at + 1
            if option in flags:
                found[option] = value
        elif option in known:
            if not equals and (follows is None or follows.partition("=")[0] in known | flags):
                raise BadInput(f"{option} needs a value.")
            found[option] = attached if equals else str(follows)
            at += not equals
        else:
            ignored.append(option)
            if not equals and option.startswith("-") and follows is not None and not follows.startswith("-"):
                at += 1
    return found, ignored


def value_of(option: str, value: str | bool, info: FieldInfo) -> object:
    """Return what a text of Studio's means for a field. Raises `BadInput` for a truth value that is none."""
    if isinstance(value, bool):
        return value
    if kind(info) in ("flag", "boolean"):
        truth = _TRUTHS.get(value.strip().lower())
        if truth is None:
            raise BadInput(f"{option} is {value!r}. Give 1 or 0.")
        return truth
    return value.replace("\\n", "\n")


def _named(option: str, name: str, value: str | bool, secrets: dict[str, str]) -> str:
    """Keep a key aside and return its name, or return the name that was given in its place."""
    text = str(value).strip()
    if not text:
        raise BadInput(f"{option} is empty. Give an API key.")
    if text.startswith(("env:", "ledger:")):
        return text
    variable = f"LABELBUS_BLOCK_{name.upper()}"
    secrets[variable] = text
    return f"env:{variable}"


def _number(option: str, value: str | bool | None, wanted: str, *, least: int) -> int | None:
    """Read a number; an empty text is none."""
    text = "" if value is None else str(value).strip()
    if not text:
        return None
    if not text.isdecimal() or len(text) > 18 or int(text) < least:
        raise BadInput(f"{option} is {text[:40]!r}. Give {wanted}.")
    return int(text)


def _parameters(
    registration: Registration, given: dict[str, object], fields: Mapping[str, tuple[str, FieldInfo]]
) -> LabelerParameters:
    try:
        return registration.parameters.model_validate(given)
    except ValidationError as error:
        by_name = {name: option for option, (name, _) in fields.items()}
        raise BadInput("\n".join(_fault(one, by_name) for one in error.errors(include_url=False))) from error


def _fault(detail: ErrorDetails, by_name: Mapping[str, str]) -> str:
    """Return one sentence; what a labeler itself says of a value stands as it is."""
    option = by_name.get(str(detail["loc"][0]), str(detail["loc"][0])) if detail["loc"] else ""
    if detail["type"] == "missing":
        return f"Missing {option}."
    said = detail["msg"].removeprefix("Value error, ").rstrip(".")
    if detail["type"] != "value_error":
        said += f" (given: {detail['input']!r})"
    said = f"{option}: {said}" if option else said[:1].upper() + said[1:]
    return said if said.endswith("?") else f"{said}."
