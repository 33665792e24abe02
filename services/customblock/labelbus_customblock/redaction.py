"""What a block printed, as people may see it."""

import re
from collections.abc import Iterable
from typing import Final

from labelbus_runtime.logging import redact

_LINES: Final = 12
_CHARACTERS: Final = 1200
_SHORTEST: Final = 4
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
"""What colours a terminal, moves its cursor or names its window (ECMA-48)."""


def last_lines(output: str, secrets: Iterable[str]) -> str:
    """Return the last lines of an output as plain text, with stars for every secret in it."""
    output = _ESCAPES.sub("", output)
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            output = output.replace(secret, "***")
    lines = [line.rstrip() for line in redact(output).splitlines() if line.strip()]
    return "\n".join(_plain(line) for line in lines[-_LINES:])[-_CHARACTERS:]


def _plain(line: str) -> str:
    """Return a line without what a terminal obeys, or a database does not store."""
    return "".join(" " if one.isspace() else one if one.isprintable() else "\ufffd" for one in line)
