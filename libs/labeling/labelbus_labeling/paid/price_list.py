"""List prices of OpenAI's models, and the dates on which it switches models off. Data only.

Each price has the day on which it stood on OpenAI's pages (models, pricing) or in a dated copy of them. What
could not be checked is not here: its price is unknown until LABELBUS_PRICES gives it. The pages:
https://developers.openai.com/api/docs/pricing and https://developers.openai.com/api/docs/deprecations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens: input, input that the provider had cached, output.

    `written_usd` is for input that the provider puts into its cache; None costs what input costs. `seen` is
    the day on which the list said so, None for a price of one's own.
    """

    input_usd: float
    cached_usd: float
    output_usd: float
    written_usd: float | None = None
    seen: date | None = None

    @property
    def dearest_input_usd(self) -> float:
        """Return what a token of input costs at most."""
        return max(self.input_usd, self.written_usd or 0.0)


def _listed(input_usd: float, cached_usd: float, output_usd: float, seen: date) -> Price:
    return Price(input_usd, cached_usd, output_usd, seen=seen)


def _cache_billed(input_usd: float, cached_usd: float, output_usd: float, seen: date) -> Price:
    """From gpt-5.6 on, prompts of 1024 tokens and more are cached, and writing costs 1.25 times the input."""
    return Price(input_usd, cached_usd, output_usd, written_usd=1.25 * input_usd, seen=seen)


PRICES: Final[Mapping[str, Price]] = {
    "gpt-6.1-sol": _cache_billed(2.0, 0.10, 10.0, date(2026, 9, 30)),
    "gpt-6.1-terra": _cache_billed(1.0, 0.05, 5.0, date(2026, 10, 27)),
    "gpt-6-astra": _cache_billed(10.0, 1.0, 50.0, date(2026, 9, 7)),
    "gpt-6-sol": _cache_billed(2.0, 0.20, 10.0, date(2026, 9, 28)),
    "gpt-6-luna": _cache_billed(0.10, 0.01, 0.50, date(2026, 9, 28)),
    "gpt-5.6-sol": _cache_billed(5.0, 0.50, 30.0, date(2026, 8, 1)),  # less while a promotion lasts
    "gpt-5.6-terra": _cache_billed(2.0, 0.20, 12.0, date(2026, 8, 14)),
    "gpt-5.6-luna": _cache_billed(0.20, 0.02, 1.20, date(2026, 8, 14)),
    "gpt-5.5": _listed(5.0, 0.50, 30.0, date(2026, 6, 28)),
    "gpt-5.4": _listed(2.50, 0.25, 15.0, date(2026, 6, 28)),
    "gpt-5.4-mini": _listed(0.75, 0.075, 4.50, date(2026, 6, 28)),
    "gpt-5.4-nano": _listed(0.20, 0.02, 1.25, date(2026, 6, 28)),
    "gpt-5": _listed(1.25, 0.125, 10.0, date(2026, 6, 28)),
    "gpt-5-mini": _listed(0.25, 0.025, 2.0, date(2026, 6, 28)),
    "gpt-5-nano": _listed(0.05, 0.005, 0.40, date(2026, 9, 30)),
    "gpt-4.1": _listed(2.0, 0.50, 8.0, date(2026, 6, 21)),
    "gpt-4.1-mini": _listed(0.40, 0.10, 1.60, date(2026, 6, 21)),
    "gpt-4o": _listed(2.50, 1.25, 10.0, date(2026, 5, 31)),
    "gpt-4o-mini": _listed(0.15, 0.075, 0.60, date(2026, 5, 31)),
}
"""Standard prices for prompts of up to 272,000 tokens, without batch, flex or regional terms."""

_OCTOBER: Final = date(2026, 10, 23)
_DECEMBER: Final = date(2026, 12, 11)
_JANUARY: Final = date(2027, 1, 14)
_APRIL: Final = date(2027, 4, 1)

SHUTDOWNS: Final[Mapping[str, date]] = {
    **dict.fromkeys(("gpt-4", "gpt-4-turbo", "gpt-4o-2024-05-13", "gpt-4.1-nano"), _OCTOBER),
    **dict.fromkeys(("o1", "o1-pro", "o3-mini", "o4-mini"), _OCTOBER),
    **dict.fromkeys(("gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5-pro", "o3", "o3-pro"), _DECEMBER),
    **dict.fromkeys(("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini"), _JANUARY),
    **dict.fromkeys(("gpt-5.1", "gpt-5.4-nano"), _APRIL),
}
"""As OpenAI's page of deprecations stood on 2026-10-28. A dated name goes with the model that it is of."""
