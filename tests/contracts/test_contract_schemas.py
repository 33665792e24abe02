"""The committed schemas are the code's, and nothing breaks within a major version."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from labelbus_contracts import schema
from labelbus_contracts.compatibility import breaking
from labelbus_contracts.schema import FOLDER, MESSAGES, differences, main, read, schemas

DEFERRED = schemas()["write_deferred"]
LABELED = schemas()["sample_labeled"]


def changed(document: Any, *path: str, **values: Any) -> Any:
    """Return a copy of a schema with changes at a place; None removes."""
    result = copy.deepcopy(document)
    place = result
    for name in path:
        place = place[name]
    for name, value in values.items():
        if value is None:
            place.pop(name)
        else:
            place[name] = value
    return result


def test_committed() -> None:
    """Every message's schema is committed as the code makes it."""
    assert differences(read(FOLDER)) == []
    assert len(list(FOLDER.glob("*.json"))) == len(MESSAGES) == len(schemas())


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (changed(DEFERRED, "properties", reason=None), "$.reason: the field was removed"),
        (changed(DEFERRED, required=["id", "job_id", "scope"]), "$.scope: the field is required now"),
        (changed(DEFERRED, "properties", "run", type="string"), "$.run: Run became Run"),
        (
            changed(DEFERRED, "properties", "scope", enum=["sample"]),
            "$.scope: 'job' is not allowed any more",
        ),
        (changed(DEFERRED, "properties", "run", minimum=2), "$.run: minimum 1 became 2"),
        (changed(DEFERRED, "properties", "reason", maxLength=9), "$.reason: maxLength None became 9"),
        (changed(DEFERRED, "properties", "reason", pattern="^a"), "$.reason: pattern None became ^a"),
        (changed(DEFERRED, "properties", "kind", const="later"), "$.kind: 'write_deferred' is not"),
    ],
)
def test_breaking(new: Any, said: str) -> None:
    """What a reader of this version would refuse, or miss, is told by field."""
    (line,) = breaking(DEFERRED, new)
    assert line.startswith(said)


def test_breaking_deep_inside() -> None:
    """A change in a value that a message holds is found: an optional text that is no longer optional."""
    new = changed(LABELED, "properties", model={"type": "string"})
    assert breaking(LABELED, new) == ["$.model: null is not allowed any more"]
    new = changed(LABELED, "$defs", "BoundingBox", "properties", "x", minimum=0)
    assert breaking(LABELED, new) == ["$.base.labels.boxes[].x: minimum None became 0"]


@pytest.mark.parametrize(
    "new",
    [
        changed(DEFERRED, "properties", extra={"type": "string", "default": ""}),
        changed(DEFERRED, required=["id", "job_id"]),
        changed(DEFERRED, "properties", "scope", enum=["sample", "job", "project"]),
        changed(DEFERRED, "properties", "run", type="number"),
        changed(DEFERRED, "properties", "run", minimum=0),
        changed(DEFERRED, "properties", reason={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        changed(DEFERRED, description="Other words."),
    ],
)
def test_not_breaking(new: Any) -> None:
    """Optional fields may be added, and what is allowed may grow."""
    assert breaking(DEFERRED, new) == []


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A difference that was not written fails, with the command that writes it."""
    assert main(["write", "--folder", str(tmp_path)]) == 0
    assert main(["check", "--folder", str(tmp_path)]) == 0
    older = changed(DEFERRED, "properties", scope=None)
    (tmp_path / "write_deferred.json").write_text(json.dumps(older))
    (tmp_path / "job_paused.json").unlink()
    assert main(["check", "--folder", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "write_deferred: differs" in said and "job_paused: not written" in said and "write`" in said


@pytest.mark.parametrize("command", ["write", "check"])
def test_breaking_is_refused(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A removed message or field is neither accepted nor overwritten."""
    main(["write", "--folder", str(tmp_path)])
    (tmp_path / "sample_painted.json").write_text("{}")
    older = changed(DEFERRED, "properties", colour={"type": "string"})
    (tmp_path / "write_deferred.json").write_text(json.dumps(older))
    assert main([command, "--folder", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "sample_painted: the message was removed" in said
    assert "write_deferred: $.colour: the field was removed" in said


def test_check_against_a_commit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was committed earlier counts, though it was overwritten since."""
    folder = tmp_path / "schemas"
    main(["write", "--folder", str(folder)])
    older = changed(DEFERRED, "properties", colour={"type": "string"})
    (folder / "write_deferred.json").write_text(json.dumps(older))
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for arguments in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "-m", "Older")):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, timeout=60)
    schema.write(folder)
    assert main(["check", "--folder", str(folder)]) == 0
    assert main(["check", "--folder", str(folder), "--against", "HEAD"]) == 1
    assert "$.colour: the field was removed" in capsys.readouterr().err
