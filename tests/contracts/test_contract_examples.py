"""Every message has a golden example and a schema, and every example is read for ever."""

import json
from pathlib import Path

import pytest
from labelbus_contracts.schema import MESSAGES, kind_of
from labelbus_contracts.v1.message import Message

EXAMPLES = Path(__file__).parents[2] / "contracts" / "examples" / "v1"
MODELS = {kind_of(message): message for message in MESSAGES}
FILES = sorted(EXAMPLES.glob("*.json"))


def holds(given: object, read: object) -> bool:
    """Tell whether all that was given was read; fields that are newer than the example may be there too."""
    if isinstance(given, dict) and isinstance(read, dict):
        return all(name in read and holds(value, read[name]) for name, value in given.items())
    if isinstance(given, list) and isinstance(read, list):
        return len(given) == len(read) and all(holds(*pair) for pair in zip(given, read, strict=True))
    return given == read


def kind(path: Path) -> str:
    """Return the kind of the message in an example."""
    return path.stem.partition(".")[0]


def test_every_kind_has_an_example() -> None:
    """There is an example for each message, none for one that is gone; `kind.what.json` is one more."""
    assert {kind(path) for path in FILES} == set(MODELS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_example(path: Path) -> None:
    """An example says again what it said, after it was read."""
    given = json.loads(path.read_text())
    message = MODELS[given["kind"]].model_validate_json(path.read_text())
    assert holds(given, json.loads(message.model_dump_json()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_unknown_fields(path: Path) -> None:
    """Fields of newer writers are ignored, at the top and inside."""
    given = json.loads(path.read_text())
    model = MODELS[given["kind"]]
    newer = given | {"from_the_future": {"deep": [1]}}
    if "base" in newer:
        newer["base"] = newer["base"] | {"from_the_future": 1}
    assert model.model_validate(newer) == model.model_validate(given)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_routing(path: Path) -> None:
    """Every message names its job for the headers, all as texts, and its id begins with its kind."""
    message: Message = MODELS[kind(path)].model_validate_json(path.read_text())
    routing = message.routing()
    assert routing["job_id"] and all(isinstance(value, str) for value in routing.values())
    assert message.id.startswith(f"{kind(path)}:")
