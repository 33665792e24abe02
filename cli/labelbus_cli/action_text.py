"""Write an action as the text of an action file."""

from typing import Any

import yaml
from labelbus_contracts.jobs import ActionSpec


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def as_yaml(action: ActionSpec) -> str:
    """Return the text that `read_action` reads as the same action, without its revision and defaults."""
    document: dict[str, Any] = action.model_dump(mode="json", exclude_defaults=True, exclude={"revision"})
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text
