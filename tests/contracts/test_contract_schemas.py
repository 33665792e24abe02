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
LABEL = schemas()["label_sample"]
BRANCH = {"anyOf": [{"$ref": "#/$defs/Tree"}, {"enum": ["leaf", None]}]}
TREE = {"$ref": "#/$defs/Tree", "$defs": {"Tree": {"properties": {"left": BRANCH, "right": BRANCH}}}}


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


SCOPE = ["properties", "scope"]
OPTIONAL = {"anyOf": [{"type": "string"}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (changed(DEFERRED, "properties", reason=None), "$.reason: the field was removed"),
        (changed(DEFERRED, required=["id", "job_id", "scope"]), "$.scope: the field is required now"),
        (changed(DEFERRED, "properties", "run", type="string"), "$.run: type 'integer' became 'string'"),
        (changed(DEFERRED, "properties", "retry_after_s", type="integer"), "$.retry_after_s: type 'number'"),
        (changed(DEFERRED, *SCOPE, enum=["sample"]), "$.scope: enum ['sample', 'job'] became ['sample']"),
        (changed(DEFERRED, *SCOPE, default="job"), "$.scope: default 'sample' became 'job'"),
        (changed(DEFERRED, "properties", "run", minimum=2), "$.run: minimum 1 became 2"),
        (changed(DEFERRED, "properties", "run", multipleOf=2), "$.run: multipleOf none became 2"),
        (changed(DEFERRED, "properties", "reason", maxLength=9), "$.reason: maxLength none became 9"),
        (changed(DEFERRED, "properties", "reason", pattern="^a"), "$.reason: pattern none became '^a'"),
        (changed(DEFERRED, "properties", "kind", const="later"), "$.kind: const 'write_deferred' became"),
        (changed(DEFERRED, additionalProperties=False), "$: additionalProperties none became False"),
    ],
)
def test_breaking(new: Any, said: str) -> None:
    """What an older writer says and a reader would now refuse, miss or take otherwise is told by field."""
    (line,) = [one for one in breaking(DEFERRED, new) if "may be left out" not in one]
    assert line.startswith(said)


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (changed(DEFERRED, required=["id", "job_id"]), "$.reason: the field may be left out now"),
        (changed(DEFERRED, *SCOPE, enum=["sample", "job", "project"]), "$.scope: enum"),
        (changed(DEFERRED, "properties", "run", type="number"), "$.run: type"),
        (changed(DEFERRED, "properties", "run", minimum=0), "$.run: minimum 1 became 0"),
        (changed(DEFERRED, "properties", "run", minimum=None), "$.run: minimum 1 became none"),
        (
            changed(DEFERRED, "properties", reason={"anyOf": [{"type": "string"}, {"type": "null"}]}),
            "$.reason",
        ),
    ],
)
def test_widening_is_breaking(new: Any, said: str) -> None:
    """What is newly allowed would be refused by older readers, which run at the same time in an upgrade."""
    assert any(line.startswith(said) for line in breaking(DEFERRED, new))


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (
            changed(LABELED, "$defs", "BoundingBox", "properties", "x", minimum=0),
            "$.base.labels.boxes[].x: minimum none became 0",
        ),
        (
            changed(LABELED, "$defs", "BoundingBox", "properties", source=None),
            "$.base.labels.boxes[].source: the field was removed",
        ),
        (
            changed(LABEL, "properties", "parameters", additionalProperties={"type": "string"}),
            "$.parameters[]: type none became 'string'",
        ),
        (
            changed(LABEL, "properties", "base", anyOf=[{"$ref": "#/$defs/Base"}]),
            "$.base: anyOf #/$defs/Base or null became #/$defs/Base",
        ),
        (
            changed(LABEL, "$defs", "Base", "properties", "read_at", format="date"),
            "$.base.read_at: format 'date-time' became 'date'",
        ),
    ],
)
def test_breaking_deep_inside(new: Any, said: str) -> None:
    """A change in a value that a message holds is found, once, with its place."""
    assert breaking(LABELED if new["title"] == LABELED["title"] else LABEL, new) == [said]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (DEFERRED, changed(DEFERRED, "properties", extra={"type": "string", "default": ""})),
        (DEFERRED, changed(DEFERRED, *SCOPE, enum=["job", "sample"])),
        (DEFERRED, changed(DEFERRED, description="Other words.")),
        (LABELED, changed(LABELED, "properties", "usage", "default", joules=0)),
        (TREE, TREE),
    ],
)
def test_not_breaking(old: Any, new: Any) -> None:
    """Optional fields may be added, also where they show in a default; words and order do not count."""
    assert breaking(old, new) == []


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
