"""YAML with the place of every value, so that errors can name line and column.

Only `true` and `false` are truth values here: YAML 1.1 would read the parameter value `no` as false.
"""

import re
from dataclasses import dataclass, field
from typing import Final

import yaml

from labelbus_cli.errors import BadInput

Path = tuple[str | int, ...]
_BOOL: Final = "tag:yaml.org,2002:bool"
_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
_MOST_NODES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, both from 1. `block` tells a text that begins on the following line."""

    line: int
    column: int
    block: bool = False

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


@dataclass(slots=True)
class Document:
    """A parsed file: its value, its lines, and where each key and value stands."""

    name: str
    value: object
    lines: list[str]
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Return where `path` stands, or the nearest value around it."""
        table = self.keys if key else self.values
        while path and path not in table:
            path, table = path[:-1], self.values
        return table.get(path, Place(1, 1))

    def error(self, path: Path, text: str, *, key: bool = False) -> BadInput:
        """Return an error that names file, line and column."""
        place = self.place(path, key=key)
        return BadInput(f"{self.name}:{place.line}:{place.column}: {text}")

    def place_in_text(self, path: Path, line: int, column: int) -> Place:
        """Return where line and column (from 1) of the text at `path` stand in the file."""
        start = self.place(path)
        if not start.block:
            return Place(start.line, start.column + column - 1) if line == 1 else start
        at = start.line + line
        first = next((one for one in self.lines[start.line :] if one.strip()), "")
        return Place(at, len(first) - len(first.lstrip(" ")) + column)


class _Loader(yaml.SafeLoader):
    """A SafeLoader with YAML 1.2's truth values and without dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_BOOL, _TIMESTAMP)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def parse(text: str, name: str) -> Document:
    """Parse one YAML document. Raises `BadInput` with line and column."""
    loader = _Loader(text)
    document = Document(name, None, text.splitlines())
    try:
        node = loader.get_single_node()
        if node is None:
            raise BadInput(f"{name}:1:1: The file is empty. `labelbus actions new LABELER` writes one.")
        _mark(node, (), document)
        document.value = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        raise BadInput(f"{name}:{where}: Not YAML: {error.problem or error.context}.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadInput(f"{name}:1:1: Not YAML: {error}.") from error
    finally:
        loader.dispose()
    return document


def _mark(node: yaml.Node, path: Path, document: Document) -> None:
    if len(document.values) > _MOST_NODES:
        raise BadInput(f"{document.name}:1:1: The file is too large for an action.")
    document.values[path] = _place(node)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _mark(item, (*path, index), document)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = str(key.value)
            if (*path, name) in document.keys:
                mark = key.start_mark
                raise BadInput(
                    f"{document.name}:{mark.line + 1}:{mark.column + 1}: "
                    f"The key '{name}' is given twice. Keep one of them."
                )
            document.keys[(*path, name)] = _place(key)
            _mark(value, (*path, name), document)


def _place(node: yaml.Node) -> Place:
    block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    quoted = isinstance(node, yaml.ScalarNode) and node.style in ("'", '"')
    return Place(node.start_mark.line + 1, node.start_mark.column + 1 + quoted, block)
