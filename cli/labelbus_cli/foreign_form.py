"""The parameters.json of somebody's block: what Studio would hand over, and which names there are."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from labelbus_labeling.labeler import OperatesOn

from labelbus_cli.actions import nearest
from labelbus_cli.errors import BadInput

_FALSE: Final = frozenset({"", "0", "false"})
Argument = str | bool


@dataclass(frozen=True, slots=True)
class Form:
    """A block's form; one without a file knows nothing and passes everything on."""

    name: str = ""
    operates_on: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    items: tuple[Mapping[str, Any], ...] = ()

    def arguments(self, given: Mapping[str, Argument]) -> dict[str, Argument]:
        """Return every argument as Studio hands it over. Raises `BadInput` for names that there are not."""
        if not self.items:
            return dict(given)
        known = {str(item["param"]): item for item in self.items if item.get("type") != "secret"}
        for name in given:
            if name not in known:
                raise BadInput(f"The block has no parameter '{name}'. {nearest(name, known)}")
        values = {**{name: _default(item) for name, item in known.items()}, **given}
        return {
            name: _written(values[name], item)
            for name, item in known.items()
            if name in given or (values[name] is not None and _is_shown(item, values))
        }

    def check_environment(self, given: Collection[str]) -> None:
        """Raise `BadInput` where a secret or a variable that the block needs is not given."""
        secrets = [str(item["param"]) for item in self.items if item.get("type") == "secret"]
        optional = {str(item["param"]) for item in self.items if item.get("optional")}
        for name in secrets:
            if name not in given and name not in optional:
                raise BadInput(f"The block needs the secret {name}. Give --secret {name}=env:{name}.")
        for name in self.needs:
            if name not in given:
                raise BadInput(f"The block needs the variable {name}. Give it by --env or --secret.")


def read_form(path: Path) -> Form:
    """Read a parameters.json. Raises `BadInput`."""
    try:
        document = json.loads(path.read_text())
        info, items = document.get("info", {}), document.get("parameters", [])
        known = set(get_args(OperatesOn))
        return Form(
            name=str(info.get("name", "")),
            operates_on=tuple(one for one in info.get("operatesOn", ()) if one in known),
            needs=tuple(map(str, info.get("requiredEnvVariables", ()))),
            items=tuple(item for item in items if item["param"]),
        )
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}). Give the block's parameters.json."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} is no parameters.json of a block ({error!r}).") from error


def _default(item: Mapping[str, Any]) -> Argument | None:
    """Return what Studio hands over unasked: optional parameters only once somebody sets them."""
    value = item.get("value")
    if value is None or item.get("optional"):
        return None
    return value if isinstance(value, bool) else str(value)


def _written(value: Argument | None, item: Mapping[str, Any]) -> Argument:
    truth = value if isinstance(value, bool) else str(value).strip().lower() not in _FALSE
    if item.get("type") == "flag":
        return truth
    if item.get("type") == "boolean":
        return "1" if truth else "0"
    return str(value)


def _is_shown(item: Mapping[str, Any], values: Mapping[str, Argument | None]) -> bool:
    """Tell whether the form shows a parameter, as its `showIf` says."""
    rule = item.get("showIf")
    if not isinstance(rule, Mapping):
        return True
    value = values.get(str(rule.get("parameter")))
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return (text == str(rule.get("value"))) == (rule.get("operator") != "neq")
