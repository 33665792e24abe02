"""Find an action where a command names one: a file, or a name of the ledger with or without a revision."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from labelbus_contracts.jobs import ActionSpec
from labelbus_labeling.labeler import Registration
from labelbus_ledger import actions as ledger_actions
from labelbus_ledger.actions import StoredAction

from labelbus_cli.actions import check_action, nearest, read_action
from labelbus_cli.cautions import print_cautions
from labelbus_cli.errors import BadInput
from labelbus_cli.session import opened_ledger

_REVISION: Final = re.compile(r"@(\d+)$")
_FILE_ENDS: Final = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Name:
    """A name as people write it: `shapes` or `shapes@3`."""

    name: str
    revision: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Name":
        """Split off the revision."""
        found = _REVISION.search(text)
        return cls(text) if found is None else cls(text[: found.start()], int(found[1]))

    def __str__(self) -> str:
        return self.name if self.revision is None else f"{self.name}@{self.revision}"


async def action_named(text: str, labelers: Mapping[str, Registration]) -> ActionSpec:
    """Return the action of a file, or a stored one; print its cautions. Raises `BadInput` with every fault.

    A text that ends like a file, has a slash in it, or is the name of a file that exists is a file.
    """
    if is_file(text):
        spec = read_action(Path(text), labelers)
    else:
        spec = (await stored(Name.parse(text))).spec
        check_action(spec, labelers)
    print_cautions(spec)
    return spec


def is_file(text: str) -> bool:
    """Tell whether a command means a file."""
    return text.endswith(_FILE_ENDS) or "/" in text or "\\" in text or Path(text).is_file()


async def stored(name: Name) -> StoredAction:
    """Return one revision. Raises `BadInput` with the nearest name."""
    async with opened_ledger() as ledger, ledger.read() as conn:
        found = await ledger_actions.find(conn, name.name, name.revision)
        if found is not None:
            return found
        names = {str(one.spec.name) for one in await ledger_actions.list_all(conn)}
    if name.name in names:
        raise BadInput(
            f"The action '{name.name}' has no revision {name.revision}. Run `labelbus actions list`."
        )
    hint = nearest(name.name, names) if names else "None is stored: `labelbus actions add FILE` stores one."
    raise BadInput(f"There is no file and no stored action '{name}'. {hint}")


async def keep(path: Path, note: str, labelers: Mapping[str, Registration]) -> tuple[StoredAction, bool]:
    """Store the action of a file under its name; tell whether that is new. Raises `BadInput`."""
    spec = read_action(path, labelers)
    print_cautions(spec)
    if _REVISION.search(spec.name) or is_file(spec.name):
        raise BadInput(
            f"'{spec.name}' cannot be told from a revision or a file. Give the action another name."
        )
    async with opened_ledger() as ledger:
        begun = time.time()
        stored = await ledger_actions.add(ledger, spec, note=note)
        return stored, stored.created_at >= begun


async def forget(name: Name) -> int:
    """Remove an action, or one revision of it. Raises `BadInput` where there is none."""
    await stored(name)
    async with opened_ledger() as ledger:
        return await ledger_actions.remove(ledger, name.name, name.revision)


async def listed() -> list[str]:
    """Return one line for each stored revision."""
    async with opened_ledger() as ledger, ledger.read() as conn:
        return [_line(one) for one in await ledger_actions.list_all(conn)]


def _line(one: StoredAction) -> str:
    moment = datetime.fromtimestamp(one.created_at, UTC).strftime("%Y-%m-%d %H:%M")
    steps = " + ".join(step.labeler for step in one.spec.steps)
    return f"{one.spec.shown_name:<28} {moment}  {steps}{f'  {one.note}' if one.note else ''}"
