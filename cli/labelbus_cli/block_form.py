"""Write `parameters.json`: the form that Edge Impulse Studio shows for a block, from the parameter model."""

import json
from typing import Final

from labelbus_labeling.labeler import FormSecret, Registration
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from labelbus_cli.block_arguments import extra_of, kind, options

_PASSED_ON: Final = ("multiline", "placeholder", "hint", "section", "valid")


def form(registration: Registration) -> str:
    """Return the text of parameters.json."""
    fields = options(registration)
    named = {name: option.removeprefix("--") for option, (name, _) in fields.items()}
    document = {
        "version": 1,
        "type": "ai-action",
        "info": {
            "name": registration.title,
            "description": f"{registration.title}, by Labelbus: many samples at once, resumable, "
            "and labels that a person changed meanwhile are left alone.",
            "requiredEnvVariables": [],
            "operatesOn": sorted(registration.operates_on),
        },
        "parameters": [
            *map(_secret, registration.secrets),
            *(_item(option, info, named) for option, (_, info) in fields.items()),
        ],
    }
    return json.dumps(document, indent=4, ensure_ascii=False) + "\n"


def _secret(secret: FormSecret) -> dict[str, object]:
    return {
        "name": secret.title,
        "value": "",
        "type": "secret",
        "help": secret.help,
        "param": secret.variable,
    }


def _item(option: str, info: FieldInfo, named: dict[str, str]) -> dict[str, object]:
    extra = extra_of(info)
    item: dict[str, object] = {"name": info.title or option.removeprefix("--")}
    value = _default(info)
    if value is not None:
        item["value"] = value
    item |= {"type": kind(info), "help": info.description or "", "param": option.removeprefix("--")}
    if value is None or info.get_default() is None or extra.get("optional"):
        item["optional"] = True
    item |= {name: extra[name] for name in _PASSED_ON if name in extra}
    shown = extra.get("show_if")
    if isinstance(shown, list) and len(shown) == 3:
        parameter, operator, wanted = map(str, shown)
        item["showIf"] = {"parameter": named.get(parameter, parameter), "operator": operator, "value": wanted}
    return item


def _default(info: FieldInfo) -> object:
    extra = extra_of(info)
    if "value" in extra:
        return _text(extra["value"])
    default = info.get_default()
    return None if default is PydanticUndefined or default is None else _text(default)


def _text(value: object) -> object:
    """Studio keeps every value as text; the words of truth are lower case."""
    if isinstance(value, list | tuple):
        return "\n".join(map(str, value))
    return json.dumps(value) if isinstance(value, bool | int | float) else value
