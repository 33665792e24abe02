"""What models cost, and when they are switched off. `LABELBUS_PRICES` adds models and overrides prices."""

import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final, Self

from labelbus_contracts.v1.events import Usage
from labelbus_runtime.errors import SettingsError

from labelbus_labeling.paid.answer import Estimate
from labelbus_labeling.paid.price_list import PRICES, SHUTDOWNS, Price

SETTING: Final = "LABELBUS_PRICES"
_MILLION: Final = 1_000_000
_WARN_DAYS: Final = 60


class Prices:
    """A table of prices. A dated name (`gpt-4o-2024-08-06`) is priced as the model that it is of."""

    def __init__(self, overrides: Mapping[str, Price] | None = None) -> None:
        self._table = {**PRICES, **(overrides or {})}

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read `LABELBUS_PRICES`, JSON: `{"model": [input, cached, output]}`. Raises `SettingsError`.

        A fourth number is the price of input that the provider puts into its cache.
        """
        text = environ.get(SETTING, "").strip()
        return cls(_overrides(text) if text else None)

    def price(self, model: str) -> Price | None:
        """Return the price of a model; None where it is unknown."""
        name = _listed(model, self._table)
        return None if name is None else self._table[name]

    def cost(self, model: str, usage: Usage, *, cached_tokens: int = 0, written_tokens: int = 0) -> float:
        """Return the US dollars of a usage; 0 where the price is unknown.

        `cached_tokens` of the input were read from the provider's own prompt cache, `written_tokens` of it
        put there.
        """
        price = self.price(model)
        if price is None:
            return 0.0
        cached = min(cached_tokens, usage.input_tokens)
        written = min(written_tokens, usage.input_tokens - cached)
        dollars = (
            (usage.input_tokens - cached - written) * price.input_usd
            + cached * price.cached_usd
            + written * (price.input_usd if price.written_usd is None else price.written_usd)
            + usage.output_tokens * price.output_usd
        )
        return dollars / _MILLION

    def billed(self, *, asked: str, answered: str) -> str:
        """Return whose price an answer has: one's own of the model asked for, else that of who answered."""
        own = self.price(asked)
        return asked if (own is not None and own.seen is None) or self.price(answered) is None else answered

    def worst(self, model: str, *, input_tokens: int, output_tokens: int) -> Estimate:
        """Return the estimate of a call that takes at most so many tokens, none of them cached before."""
        price = self.price(model)
        if price is None:
            return Estimate(input_tokens, output_tokens, math.inf)
        dollars = input_tokens * price.dearest_input_usd + output_tokens * price.output_usd
        return Estimate(input_tokens, output_tokens, dollars / _MILLION)

    def said_of(self, model: str) -> str:
        """Return the price in words, and how old it is."""
        price = self.price(model)
        if price is None:
            return f"no price is known of {model}; give it in {SETTING}"
        source = f"{SETTING}" if price.seen is None else f"OpenAI's list on {price.seen}"
        return f"{model}: ${price.input_usd:g} in, ${price.output_usd:g} out per million tokens, by {source}"


def shutdown_date(model: str) -> date | None:
    """Return when OpenAI switches a model off, or the model that it is fine-tuned from; None for no date."""
    base = model.removeprefix("ft:").partition(":")[0] if model.startswith("ft:") else model
    name = _listed(base, SHUTDOWNS)
    return None if name is None else SHUTDOWNS[name]


def shutdown_notice(model: str, *, today: date | None = None) -> str | None:
    """Return a warning where a model is switched off within 60 days, or is off already."""
    ends = shutdown_date(model)
    days = None if ends is None else (ends - (today or datetime.now(UTC).date())).days
    if days is None or days > _WARN_DAYS:
        return None
    when = f"is switched off on {ends} (in {days} days)" if days > 0 else f"was switched off on {ends}"
    return f"The model {model} {when}. Name another one, such as gpt-6-luna."


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
    if not isinstance(values, list) or len(values) not in (3, 4):
        raise ValueError("a price is a list of three or four numbers")
    numbers = [float(value) for value in values]
    if any(number < 0 or not math.isfinite(number) for number in numbers):
        raise ValueError("a price is not below 0")
    input_usd, cached_usd, output_usd, *more = numbers
    return Price(input_usd, cached_usd, output_usd, written_usd=more[0] if more else None)
