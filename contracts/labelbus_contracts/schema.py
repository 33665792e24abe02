"""Generate and check the JSON Schema of every message: `python -m labelbus_contracts.schema write|check`.

`write` refuses a difference that would break readers or writers of the same major version; so does `check`,
which with `--against` compares with a commit of git too.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from labelbus_contracts.compatibility import Schema, breaking
from labelbus_contracts.topics import FIXED_TOPICS
from labelbus_contracts.v1.commands import LabelSample
from labelbus_contracts.v1.message import Message

FOLDER: Final = Path(__file__).resolve().parents[1] / "schemas" / "v1"
MESSAGES: Final[tuple[type[Message], ...]] = (
    LabelSample,
    *(message for topic in FIXED_TOPICS for message in topic.messages),
)
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def kind_of(message: type[Message]) -> str:
    """Return the name of a message on the wire."""
    return str(message.model_fields["kind"].default)


def schemas() -> dict[str, Schema]:
    """Return the schema of every message by kind."""
    return {kind_of(message): _schema(message) for message in MESSAGES}


def differences(committed: Mapping[str, Schema]) -> list[str]:
    """Return how the committed schemas differ from the code, one line for each kind."""
    now = schemas()
    missing = [f"{kind}: not written" for kind in sorted(now.keys() - committed.keys())]
    changed = [
        f"{kind}: differs from the code" for kind in now if kind in committed and now[kind] != committed[kind]
    ]
    return missing + changed


def breaks(before: Mapping[str, Schema]) -> list[str]:
    """Return what breaks against earlier schemas."""
    now = schemas()
    gone = [f"{kind}: the message was removed" for kind in sorted(before.keys() - now.keys())]
    changed = [
        f"{kind}: {line}"
        for kind, schema in before.items()
        if kind in now
        for line in breaking(schema, now[kind])
    ]
    return gone + changed


def read(folder: Path) -> dict[str, Schema]:
    """Return the schemas in a folder by kind."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def read_commit(folder: Path, commit: str) -> dict[str, Schema]:
    """Return the schemas of a commit of the repository that the folder is in. Raises `CalledProcessError`."""
    names = _git(folder, "ls-tree", "--name-only", commit, "./").split()
    return {
        Path(name).stem: json.loads(_git(folder, "show", f"{commit}:./{name}"))
        for name in names
        if name.endswith(".json")
    }


def write(folder: Path) -> None:
    """Write the schema of every message."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, schema in schemas().items():
        (folder / f"{kind}.json").write_text(json.dumps(schema, indent=2) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 1 says that something is wrong, in lines on standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("write", "check"))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--against", metavar="COMMIT", help="compare with this commit too")
    chosen = parser.parse_args(arguments)
    committed = read(chosen.folder)
    broken = breaks(committed)
    if chosen.against:
        broken += breaks(read_commit(chosen.folder, chosen.against))
    if broken:
        return _fail(broken, "Add a new major version beside this one instead.")
    if chosen.command == "write":
        write(chosen.folder)
        return 0
    differing = differences(committed)
    remedy = "Run `python -m labelbus_contracts.schema write` and commit the result."
    return _fail(differing, remedy) if differing else 0


def _schema(message: type[Message]) -> Schema:
    return {"$schema": _DIALECT, **message.model_json_schema()}


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(  # noqa: S603 - fixed program, arguments of a developer
        ["git", *arguments],  # noqa: S607 - the developer's own git
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


def _fail(lines: list[str], remedy: str) -> int:
    sys.stderr.write("\n".join([*dict.fromkeys(lines), remedy, ""]))
    return 1


if __name__ == "__main__":
    sys.exit(main())
