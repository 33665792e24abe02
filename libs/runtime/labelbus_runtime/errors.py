"""What a handler may raise, split by what the runtime does about it.

LabelbusError
├── RetryLater       the same bytes again, with backoff; then an answer that asks to come back
├── SampleRefused    this sample can never succeed
├── InvalidMessage   nobody can follow this message: dead-letter, never retry
├── Unavailable      the ledger or the broker is away: wait for as long as it lasts
└── SettingsError    the process cannot start as it is configured

Anything else is a bug: see `delivery`.
"""

from typing import Literal


class LabelbusError(Exception):
    """The root of the runtime's errors. Messages say fact, subject, remedy."""


class RetryLater(LabelbusError):
    """A fault that passes. `after_s` is when, `scope` the job where every sample of it is concerned."""

    def __init__(
        self,
        reason: str,
        *,
        after_s: float | None = None,
        scope: Literal["sample", "job"] = "sample",
        code: str = "unavailable",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s
        self.scope: Literal["sample", "job"] = scope
        self.code = code


class SampleRefused(LabelbusError):
    """This sample can never succeed; `code` is a short stable name of the reason."""

    def __init__(self, reason: str, *, code: str = "refused") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class InvalidMessage(LabelbusError):
    """The message cannot be read or followed, however often it is tried."""


class Unavailable(LabelbusError):
    """The ledger or the broker is away. Dispatcher and committer wait; nothing is dead-lettered for it."""


class SettingsError(LabelbusError):
    """A setting is missing or wrong; the text says which, where, and how to mend it."""
