"""Write a commented action file for a labeler, generated from its parameter model."""

import json
import textwrap
from collections.abc import Collection, Mapping
from typing import NewType, get_args, get_origin

from labelbus_contracts.jobs import MERGE
from labelbus_labeling.labeler import Registration
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from labelbus_cli.block_arguments import extra_of

_HEAD = """\
# An action of Labelbus: which labelers run, in which order, on which samples.
# Check it:    labelbus actions validate FILE
# Preview it:  labelbus run FILE --sample 20     (writes nothing to Studio)
# Apply it:    labelbus run FILE --apply
name: {name}

steps:
  # {title}
  - labeler: {labeler}
    parameters:
"""
_TAIL = """\
    # Run the step only for samples whose labels so far match all that is given:
    # when:
    #   labels: [some label]
    #   min_score: 0.0
    #   max_score: 0.6

# Which samples, where no ids file is given. Everything here is optional.
data:
  which: all            # all, unlabeled or enabled
  category: all         # all, training, testing, validation or post-processing
  # labels: [some label]
  # name_contains: some text
  # with_metadata: {key: some key, value: some value}
  # without_metadata: {key: labeled_by}

# Metadata that every written sample gets at the end.
metadata_after: {}

# The most that a job may spend on paid models, in US dollars.
# budget_usd: 5
"""


_BRANCHES = """\
    # The labelers that all get the same draft, each with its own parameters:
    branches:
      - labeler: owl-vit
        parameters: {prompt: "a cat (cat, 0.2)"}
      - labeler: owl-vit
        parameters: {prompt: "a photo of a cat (cat, 0.1)"}
"""


def template(registration: Registration) -> str:
    """Return the text of an action file with one step of this labeler; `merge` has branches."""
    head = _HEAD.format(name=registration.name, title=registration.title, labeler=registration.name)
    fields = registration.parameters.model_fields
    branches = _BRANCHES if registration.name == MERGE else ""
    return head + "".join(_parameter(name, info) for name, info in fields.items()) + branches + _TAIL


def _parameter(name: str, info: FieldInfo) -> str:
    said = [part.rstrip(".") for part in (info.title, info.description) if part]
    about = ". ".join(said).replace("?. ", "? ")
    about = f"{about or name} ({_kind(info)})."
    lines = [f"# {line}" for line in textwrap.wrap(about, 100)]
    value = _example(info)
    if value is None:
        lines.append(f"# {name}:")
    elif isinstance(value, str) and ("\n" in value or _multiline(info)):
        lines += [f"{name}: |", *(f"  {line}" for line in value.splitlines())]
    else:
        lines.append(f"{name}: {json.dumps(value, ensure_ascii=False)}")
    return textwrap.indent("\n".join(lines) + "\n", "      ")


def _multiline(info: FieldInfo) -> bool:
    return bool(extra_of(info).get("multiline"))


def _example(info: FieldInfo) -> object:
    if info.examples:
        return info.examples[0]
    extra = extra_of(info)
    if info.is_required():
        return extra.get("value", extra.get("default", "…"))
    value = info.get_default(call_default_factory=False)
    return None if value is PydanticUndefined or isinstance(value, tuple) else value


def _kind(info: FieldInfo) -> str:
    options = [one for one in get_args(info.annotation) if isinstance(one, str)]
    kind = f"one of {', '.join(options)}" if options else _type_name(info.annotation)
    return kind if info.is_required() else f"{kind}, optional"


def _type_name(annotation: object) -> str:
    """Say what of YAML an annotation wants: of several kinds the first that is written plainly."""
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    if isinstance(annotation, type) and annotation in names:
        return names[annotation]
    if isinstance(annotation, NewType):
        return _type_name(annotation.__supertype__)
    origin = get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, Collection):
        return "mapping" if issubclass(origin, Mapping) else "list"
    found = (_type_name(one) for one in get_args(annotation))
    return next((name for name in found if name != "value"), "value")
