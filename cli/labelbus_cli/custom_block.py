"""An existing custom block as an action of one step, from options and the block's own parameters.json."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from labelbus_contracts.jobs import ActionSpec, StepSpec
from labelbus_labeling.errors import WrongParameters
from labelbus_labeling.registry import find, validate_parameters
from pydantic import JsonValue

from labelbus_cli.errors import BadInput
from labelbus_cli.foreign_form import Form, read_form

LABELER: Final = "custom-block"
_NAME_CHARACTERS: Final = 100


@dataclass(frozen=True, slots=True)
class Block:
    """What `labelbus run-block` was asked. `params`, `secrets` and `env` are texts like NAME=VALUE."""

    command: str
    folder: Path
    params: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    form: Path | None = None
    more: Mapping[str, JsonValue] = field(default_factory=dict)


def action_of(block: Block) -> ActionSpec:
    """Return the action. Raises `BadInput` that names the option."""
    form = Form() if block.form is None else read_form(block.form)
    secrets = _pairs("--secret", block.secrets)
    env = _pairs("--env", block.env)
    form.check_environment({*secrets, *env})
    given: dict[str, JsonValue] = {
        "command": block.command,
        "folder": str(block.folder.absolute()),
        "arguments": dict(form.arguments(_params(block.params))),
        "environment": dict(env),
        "secrets": dict(secrets),
        "operates_on": list(form.operates_on),
        **block.more,
    }
    try:
        parameters = validate_parameters(find(LABELER), given).model_dump(mode="json", exclude_defaults=True)
    except WrongParameters as error:
        raise BadInput(str(error).partition(" Run `")[0]) from error
    name = f"block: {form.name or block.command}"[:_NAME_CHARACTERS]
    return ActionSpec(name=name, steps=(StepSpec(labeler=LABELER, parameters=parameters),))


def _params(texts: Iterable[str]) -> dict[str, str | bool]:
    """Read NAME=VALUE; a bare NAME is a flag."""
    found: dict[str, str | bool] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        found[name.removeprefix("--").strip()] = value if equals else True
    return found


def _pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise BadInput(f"{option} {name.strip()[:40]!r} has no value. Write NAME=VALUE.")
        found[name.strip()] = value
    return found
