"""What a provider's answer says about its limits: the headers `x-ratelimit-*` and `retry-after`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Self

_UNITS_S: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TERM = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """Limits per minute and what is left of them; None where the provider does not say."""

    requests_per_min: int | None = None
    tokens_per_min: int | None = None
    remaining_requests: int | None = None
    remaining_tokens: int | None = None

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> Self | None:
        """Return what the headers of an answer say; None where they say nothing of limits.

        Zero and negative limits (Azure) mean unknown.
        """
        lower = {name.lower(): value for name, value in headers.items()}
        found = cls(
            requests_per_min=_count(lower, "limit-requests", least=1),
            tokens_per_min=_count(lower, "limit-tokens", least=1),
            remaining_requests=_count(lower, "remaining-requests", least=0),
            remaining_tokens=_count(lower, "remaining-tokens", least=0),
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


def duration_s(text: str) -> float | None:
    """Return the seconds of a text like `6m0s`, `120ms` or `1h2m3.5s`; None where it is not one."""
    terms = _TERM.findall(text)
    if not terms or "".join(number + unit for number, unit in terms) != text.strip():
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in terms)


def _count(headers: Mapping[str, str], name: str, *, least: int) -> int | None:
    number = _number(headers.get(f"x-ratelimit-{name}", ""))
    return None if number is None or number < least else int(number)


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
