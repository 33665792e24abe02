"""What a provider's answer says about its limits: the headers `x-ratelimit-*` and `retry-after`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Self


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """Limits per minute; None where the provider does not say.

    What is left of them is not read: it counts calls that are still under way elsewhere, and the ledger
    knows of those.
    """

    requests_per_min: int | None = None
    tokens_per_min: int | None = None

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> Self | None:
        """Return what the headers of an answer say; None where they say nothing of limits.

        Zero and negative limits (Azure) mean unknown.
        """
        lower = {name.lower(): value for name, value in headers.items()}
        found = cls(
            requests_per_min=_count(lower, "limit-requests"),
            tokens_per_min=_count(lower, "limit-tokens"),
        )
        return None if found == cls() else found


def retry_after_s(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Return how long a 429 or 503 asks to wait: `retry-after-ms`, or `retry-after` (seconds or a date)."""
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    milliseconds = _number(lower.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = lower.get("retry-after", "")
    seconds = _number(text)
    return _until(text, now or datetime.now(UTC)) if seconds is None and text else seconds


def _count(headers: Mapping[str, str], name: str) -> int | None:
    number = _number(headers.get(f"x-ratelimit-{name}", ""))
    return None if number is None or number < 1 else int(number)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _until(text: str, now: datetime) -> float | None:
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError):
        return None
