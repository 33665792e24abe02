"""Dead letters: what could not be handled, with the reason and the original bytes."""

import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from labelbus_runtime.codec import Record
from labelbus_runtime.logging import redact

log = logging.getLogger(__name__)
_MAX_TRACEBACK: Final = 16_000
_MAX_REASON: Final = 2_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that nobody could handle; `attempts` is how often it was tried, 0 for an unreadable one."""

    record: Record
    service: str
    group: str
    reason: str
    attempts: int
    at: datetime
    traceback: str = ""

    def headers(self) -> Mapping[str, str]:
        """Return the original headers, and ours that say what happened."""
        where = f"{self.record.topic}/{self.record.partition}/{self.record.offset}"
        return {
            **self.record.headers,
            "labelbus_reason": self.reason,
            "labelbus_origin": where,
            "labelbus_group": self.group,
            "labelbus_service": self.service,
            "labelbus_attempts": str(self.attempts),
            "labelbus_at": self.at.isoformat(timespec="milliseconds"),
            "labelbus_traceback": self.traceback,
        }


class DeadLetterSink(Protocol):
    """Where dead letters are kept for people."""

    async def store(self, letter: DeadLetter) -> None:
        """Store, and return once it would survive a crash. Any exception means: try again."""


class MemoryDeadLetters:
    """Keeps the newest dead letters of this process, and logs every one."""

    def __init__(self, limit: int = 1_000) -> None:
        self.letters: list[DeadLetter] = []
        self._limit = limit

    async def store(self, letter: DeadLetter) -> None:
        """Keep and log it; the oldest one beyond the limit is forgotten."""
        log.error("dead letter of %s: %s", letter.record.topic, letter.reason)
        self.letters.append(letter)
        del self.letters[: -self._limit]


def reason_of(error: BaseException) -> str:
    """Return one line that says what went wrong, without secrets."""
    said = str(error) or "(no text)"
    return redact(f"{type(error).__name__}: {said}")[:_MAX_REASON]


def traceback_of(error: BaseException) -> str:
    """Return the traceback without secrets, its end where it is long."""
    return redact("".join(traceback.format_exception(error)))[-_MAX_TRACEBACK:]
