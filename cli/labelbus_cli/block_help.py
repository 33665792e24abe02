"""The options of a block, for people at a terminal: `labelbus block LABELER --help`."""

import textwrap
from typing import Final

from labelbus_labeling.labeler import Registration
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from labelbus_cli.block_arguments import extra_of, kind, options

_WIDTH: Final = 100
_COMMON: Final = (
    (
        "--data-ids-file PATH",
        'JSON file with the ids of the samples: [1, 2] or {{"ids": [1, 2]}}.{unless}',
    ),
    ("--propose-actions JOB", "Stage the labels in this preview job of Studio. Without it the block writes."),
    ("--limit NUMBER", "Work on so many samples, at most."),
    ("--parameters-json", "Print the form that Studio shows, and do nothing else."),
)


def block_help(registration: Registration) -> str:
    """Return the options with what they mean, those that every block has first."""
    unless = "" if registration.chooses is None else " Without it the block chooses samples by itself."
    rows = [(option, text.format(unless=unless)) for option, text in _COMMON]
    rows += [_row(option, info) for option, (_, info) in options(registration).items()]
    secrets = [(secret.variable, secret.help) for secret in registration.secrets]
    parts = [
        f"Usage: labelbus block {registration.name} [OPTIONS]",
        registration.title + ".",
        "Options:\n" + _table(rows),
        "Environment:\n" + _table([("EI_PROJECT_API_KEY", "Required: the project's API key."), *secrets]),
    ]
    return "\n\n".join(parts) + "\n"


def _row(option: str, info: FieldInfo) -> tuple[str, str]:
    shown = kind(info)
    valid = extra_of(info).get("valid")
    if isinstance(valid, list):
        value = "|".join(str(one["value"] if isinstance(one, dict) else one) for one in valid)
    else:
        value = {"flag": "", "int": "NUMBER", "float": "NUMBER", "boolean": "0|1"}.get(shown, "TEXT")
    return f"{option} {value}".strip(), f"{info.description or ''}{_default(info)}"


def _default(info: FieldInfo) -> str:
    default = info.get_default()
    if default is PydanticUndefined:
        return " Required."
    if default is None or default == () or (isinstance(default, bool) and kind(info) == "flag"):
        return ""
    return f" Default: {int(default) if isinstance(default, bool) else default}."


def _table(rows: list[tuple[str, str]]) -> str:
    indent = " " * 6
    return "\n".join(
        f"  {name}\n" + textwrap.fill(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)
        for name, text in rows
    )
