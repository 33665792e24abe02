"""What a block printed, as people may see it."""

from collections.abc import Iterable
from typing import Final

from labelbus_runtime.logging import redact

_LINES: Final = 12
_CHARACTERS: Final = 1200
_SHORTEST: Final = 4


def last_lines(output: str, secrets: Iterable[str]) -> str:
    """Return the last lines of an output, with stars for every secret in it."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            output = output.replace(secret, "***")
    lines = [line.rstrip() for line in redact(output).splitlines() if line.strip()]
    return "\n".join(lines[-_LINES:])[-_CHARACTERS:]
