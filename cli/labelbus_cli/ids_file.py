"""Read the file that names the samples of a job: a bare array of ids, or an object with `ids`."""

import json
from dataclasses import dataclass
from pathlib import Path

from labelbus_cli.errors import BadInput

_SHAPE = 'It must be a JSON array of sample ids, [1, 2, 3], or an object {"ids": [1, 2, 3]}.'


@dataclass(frozen=True, slots=True)
class Ids:
    """Distinct sample ids in the order of the file, and how many repetitions were dropped."""

    ids: tuple[int, ...]
    repeated: int

    def lowest(self, count: int | None) -> "Ids":
        """Return the lowest ids, at most so many, as the official blocks choose them; all for None."""
        if count is None or count >= len(self.ids):
            return self
        return Ids(tuple(sorted(self.ids)[:count]), self.repeated)


def read_ids(path: Path, *, may_be_empty: bool = False) -> Ids:
    """Read `path`. Raises `BadInput` for a file that is missing, not JSON or of another shape.

    So is one that names no sample, unless it may.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadInput(f"The ids file {path} does not exist. Give the path of a JSON file.") from error
    except OSError as error:
        raise BadInput(
            f"The ids file {path} cannot be read: {error.strerror}. Give the path of a JSON file."
        ) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"The ids file {path} is no UTF-8 text. {_SHAPE}") from error
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BadInput(f"The ids file {path} is not JSON: {error.msg} at {where}. {_SHAPE}") from error
    except RecursionError as error:
        raise BadInput(f"The ids file {path} is nested too deeply. {_SHAPE}") from error
    found = [_id(item, at, path) for at, item in enumerate(_array(value, path))]
    if not found and not may_be_empty:
        raise BadInput(f"The ids file {path} names no sample. Put at least one id into it.")
    distinct = tuple(dict.fromkeys(found))
    return Ids(distinct, len(found) - len(distinct))


def taken_once(repeated: int) -> str:
    """Say how many ids stood in a file more than once."""
    return "1 repeated id is taken once" if repeated == 1 else f"{repeated} repeated ids are taken once"


def _array(value: object, path: Path) -> list[object]:
    if isinstance(value, dict):
        if "ids" not in value:
            raise BadInput(f"The ids file {path} holds an object without 'ids'. {_SHAPE}")
        value = value["ids"]
    if not isinstance(value, list):
        raise BadInput(f"The ids file {path} holds {_kind(value)} where ids are expected. {_SHAPE}")
    return value


def _id(item: object, at: int, path: Path) -> int:
    number: int | None = None
    if isinstance(item, int) and not isinstance(item, bool):
        number = item
    elif isinstance(item, str) and len(item) <= 19 and item.strip().isdecimal():
        number = int(item)
    if number is None or not 0 < number < 2**63:
        shown = json.dumps(item)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise BadInput(f"Item {at + 1} of the ids file {path} is {shown}, not a sample id. {_SHAPE}")
    return number


def _kind(value: object) -> str:
    names = {str: "a text", bool: "a truth value", int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value), f"a {type(value).__name__}")
