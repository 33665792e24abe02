"""What models cost, and when they are switched off. `LABELBUS_PRICES` adds models and overrides prices."""

import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Self

from labelbus_contracts.v1.events import Usage
from labelbus_runtime.errors import SettingsError

from labelbus_labeling.paid.answer import Estimate

SETTING: Final = "LABELBUS_PRICES"
_MILLION: Final = 1_000_000
_WARN_DAYS: Final = 60
_SHUTDOWN_JANUARY = date(2027, 1, 14)
_SHUTDOWN_DECEMBER = date(2026, 12, 11)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens: input, input that the provider had cached, output."""

    input_usd: float
    cached_usd: float
    output_usd: float


PRICES: Final[Mapping[str, Price]] = {
    "gpt-6-luna": Price(0.10, 0.01, 0.50),
    "gpt-5": Price(1.25, 0.125, 10.0),
    "gpt-5-mini": Price(0.25, 0.025, 2.0),
    "gpt-5-nano": Price(0.05, 0.005, 0.40),
    "gpt-4.1": Price(2.0, 0.50, 8.0),
    "gpt-4.1-mini": Price(0.40, 0.10, 1.60),
    "gpt-4.1-nano": Price(0.10, 0.025, 0.40),
    "gpt-4o": Price(2.50, 1.25, 10.0),
    "gpt-4o-mini": Price(0.15, 0.075, 0.60),
    "o4-mini": Price(1.10, 0.275, 4.40),
}
"""List prices without batch or flex discounts."""

SHUTDOWNS: Final[Mapping[str, date]] = {
    "gpt-4o": _SHUTDOWN_JANUARY,
    "gpt-4o-mini": _SHUTDOWN_JANUARY,
    "gpt-4.1": _SHUTDOWN_JANUARY,
    "gpt-4.1-mini": _SHUTDOWN_JANUARY,
    "gpt-5": _SHUTDOWN_DECEMBER,
    "gpt-5-mini": _SHUTDOWN_DECEMBER,
    "gpt-5-nano": _SHUTDOWN_DECEMBER,
}


class Prices:
    """A table of prices. A dated name (`gpt-4o-2024-08-06`) is priced as the model that it is of."""

    def __init__(self, overrides: Mapping[str, Price] | None = None) -> None:
        self._table = {**PRICES, **(overrides or {})}

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read `LABELBUS_PRICES`, JSON: `{"model": [input, cached, output]}`. Raises `SettingsError`."""
        text = environ.get(SETTING, "").strip()
        return cls(_overrides(text) if text else None)

    def price(self, model: str) -> Price | None:
        """Return the price of a model; None where it is unknown."""
        name = _listed(model, self._table)
        return None if name is None else self._table[name]

    def cost(self, model: str, usage: Usage, *, cached_tokens: int = 0) -> float:
        """Return the US dollars of a usage; 0 where the price is unknown.

        `cached_tokens` of the input were read from the provider's own prompt cache.
        """
        price = self.price(model)
        if price is None:
            return 0.0
        cached = min(cached_tokens, usage.input_tokens)
        dollars = (
            (usage.input_tokens - cached) * price.input_usd
            + cached * price.cached_usd
            + usage.output_tokens * price.output_usd
        )
        return dollars / _MILLION

    def worst(self, model: str, *, input_tokens: int, output_tokens: int) -> Estimate:
        """Return the estimate of a call that takes at most so many tokens."""
        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        known = self.price(model) is not None
        return Estimate(input_tokens, output_tokens, self.cost(model, usage) if known else math.inf)

    def shutdown_date(self, model: str) -> date | None:
        """Return when a model is switched off; None where no date is listed."""
        name = _listed(model, SHUTDOWNS)
        return None if name is None else SHUTDOWNS[name]

    def warn_of_shutdown(self, model: str, *, today: date | None = None) -> str | None:
        """Log and return a warning where a model is switched off within 60 days, or is off already."""
        ends = self.shutdown_date(model)
        days = None if ends is None else (ends - (today or datetime.now(UTC).date())).days
        if days is None or days > _WARN_DAYS:
            return None
        when = f"is switched off on {ends} (in {days} days)" if days > 0 else f"was switched off on {ends}"
        text = f"The model {model} {when}. Name another one, such as gpt-6-luna."
        _log.warning(text)
        return text


def _listed(model: str, table: Mapping[str, object]) -> str | None:
    """Find a model's own name, or the listed one that it is a dated version of."""
    name = model.lower()
    for candidate in (model, name, name.rsplit("/", 1)[-1]):
        if candidate in table:
            return candidate
        for listed in table:
            if candidate.startswith(f"{listed}-") and _is_date(candidate.removeprefix(f"{listed}-")):
                return listed
    return None


def _is_date(text: str) -> bool:
    digits = text.replace("-", "")
    return digits.isdigit() and len(digits) in (4, 6, 8)


def _overrides(text: str) -> dict[str, Price]:
    try:
        return {str(model): _price(values) for model, values in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError(
            f'{SETTING} is wrong: {error}. Write JSON such as {{"my-model": [0.1, 0.01, 0.5]}}: US dollars '
            "per million tokens of input, cached input and output."
        ) from error


def _price(values: object) -> Price:
    if not isinstance(values, list) or len(values) != 3:
        raise ValueError("a price is a list of three numbers")
    numbers = [float(value) for value in values]
    if any(number < 0 or not math.isfinite(number) for number in numbers):
        raise ValueError("a price is not below 0")
    return Price(*numbers)
