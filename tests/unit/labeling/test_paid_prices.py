"""Prices, digests, headers and settings of paid calls."""

import math
import re
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelbus_contracts.v1.events import Usage
from labelbus_labeling.paid import Price, Prices, RateHeaders, digest_of, retry_after_s, shutdown_notice
from labelbus_labeling.paid.price_list import PRICES, SHUTDOWNS
from labelbus_labeling.paid.rate_settings import RateSettings
from labelbus_runtime.errors import SettingsError


def test_cost() -> None:
    """Tokens cost what the table says, those that the provider had cached less."""
    usage = Usage(input_tokens=1_000_000, output_tokens=100_000)
    assert Prices().cost("gpt-6-luna", usage) == pytest.approx(0.15)
    assert Prices().cost("gpt-6-luna", usage, cached_tokens=1_000_000) == pytest.approx(0.06)


def test_writing_to_the_cache_is_billed() -> None:
    """What the provider puts into its cache costs a quarter more from gpt-5.6 on; a worst case expects it."""
    usage = Usage(input_tokens=1_000_000)
    assert Prices().cost("gpt-6-luna", usage, written_tokens=1_000_000) == pytest.approx(0.125)
    both = Prices().cost("gpt-6-luna", usage, cached_tokens=600_000, written_tokens=600_000)
    assert both == pytest.approx(0.4 * 0.125 + 0.6 * 0.01)
    assert Prices().cost("gpt-4o", usage, written_tokens=1_000_000) == pytest.approx(2.50)
    worst = Prices().worst("gpt-6-luna", input_tokens=1_000_000, output_tokens=0)
    assert worst.cost_usd == pytest.approx(0.125)


def test_every_listed_price_has_its_day() -> None:
    """Each was seen on a day, and says so; one's own price names the setting; an unknown one asks for it."""
    assert all(price.seen is not None for price in PRICES.values())
    assert Prices().said_of("gpt-6-luna-2026-09-22").endswith("by OpenAI's list on 2026-09-28")
    assert Prices({"mine": Price(1, 0, 2)}).said_of("mine").endswith("by LABELBUS_PRICES")
    assert "no price is known of mystery" in Prices().said_of("mystery")
    assert set(SHUTDOWNS) & set(PRICES) >= {"gpt-4o", "gpt-5"}


def test_published_crop_prices() -> None:
    """A thousand crops of 64 pixels, 60 words of prompt and 8 of answer cost $0.44 at gpt-4o, detail low."""
    usage = Usage(input_tokens=85 + 60, output_tokens=8)
    assert 1000 * Prices().cost("gpt-4o-2024-08-06", usage) == pytest.approx(0.4425)


def test_overrides() -> None:
    """LABELBUS_PRICES adds models and replaces prices; others stay."""
    prices = Prices.of({"LABELBUS_PRICES": '{"mine": [1, 0, 2], "own": [1, 0, 2, 3], "gpt-4o": [0, 0, 0]}'})
    usage = Usage(input_tokens=500_000, output_tokens=500_000)
    assert prices.cost("mine", usage) == 1.5
    assert prices.worst("own", input_tokens=1_000_000, output_tokens=0).cost_usd == 3.0
    assert prices.cost("gpt-4o", usage) == 0.0
    assert prices.cost("gpt-5", usage) > 0


def test_an_answer_is_billed_as_it_was_reserved() -> None:
    """One's own price of a deployment holds, whatever model answers; else that of the answering model."""
    prices = Prices({"deployment": Price(1, 1, 1)})
    assert prices.billed(asked="deployment", answered="gpt-6-astra") == "deployment"
    assert prices.billed(asked="gpt-6-luna", answered="gpt-6-astra") == "gpt-6-astra"
    assert prices.billed(asked="gpt-6-luna", answered="mystery") == "gpt-6-luna"


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"a": 1}', '{"a": [1, 2]}', '{"a": [1, 2, -3]}', '{"a": ["x", 1, 1]}']
)
def test_wrong_overrides(text: str) -> None:
    """A wrong table is named with an example of a right one."""
    with pytest.raises(SettingsError, match="LABELBUS_PRICES is wrong"):
        Prices.of({"LABELBUS_PRICES": text})


def test_unknown_model() -> None:
    """An unknown price is infinite beforehand and nothing afterwards."""
    assert math.isinf(Prices().worst("mystery", input_tokens=1, output_tokens=1).cost_usd)
    assert Prices().cost("mystery", Usage(input_tokens=1)) == 0.0
    assert Prices().worst("gpt-4o-mini", input_tokens=1, output_tokens=1).tokens == 2


@pytest.mark.parametrize(
    ("model", "today", "warns"),
    [
        ("gpt-4o", date(2026, 11, 15), "switched off on 2027-01-14 \\(in 60 days\\)"),
        ("gpt-5-mini-2025-08-07", date(2027, 1, 1), "was switched off on 2026-12-11"),
        ("gpt-4o", date(2026, 11, 14), None),
        ("gpt-6-luna", date(2030, 1, 1), None),
        ("ft:gpt-4o-2024-08-06:us:cats:x1", date(2027, 1, 1), "switched off on 2027-01-14 \\(in 13 days\\)"),
        ("gpt-4o-2024-05-13", date(2026, 11, 1), "was switched off on 2026-10-23"),
    ],
)
def test_shutdown(model: str, today: date, warns: str | None) -> None:
    """A model is warned about from 60 days before it is switched off, and one that is made of it."""
    text = shutdown_notice(model, today=today)
    assert re.search(warns, text or "") if warns else text is None


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_digests_differ(one: list[bytes], other: list[bytes]) -> None:
    """Digests are equal exactly where the parts are: parts do not run together."""
    assert (digest_of(*one) == digest_of(*other)) == (one == other)


def test_digest_is_stable() -> None:
    """A digest is the same on every machine and in every version: answers outlive both."""
    expected = "ad56f6ca14470ac60be6165ec887cd5bf7f9320b32701466eab0f37545326b2f"
    assert digest_of(b"image", "prompt", {"detail": "low", "labels": ["a", "ä"]}) == expected
    assert digest_of(b"image", "prompt", {"labels": ["a", "ä"], "detail": "low"}) == expected
    assert digest_of("a") != digest_of(b"a")


def test_retry_after() -> None:
    """Milliseconds come before seconds, and a date is the time until then."""
    now = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
    assert retry_after_s({"Retry-After-Ms": "250", "Retry-After": "9"}) == 0.25
    assert retry_after_s({"retry-after": "9"}) == 9.0
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, now=now) == 30.0
    assert retry_after_s({"retry-after": "nonsense"}) is None
    assert retry_after_s({}) is None


def test_rate_headers() -> None:
    """Limits are read whatever the case of the names; zero and minus one mean unknown."""
    headers = {"X-Ratelimit-Limit-Requests": "500", "x-ratelimit-limit-tokens": "-1"}
    assert RateHeaders.read(headers) == RateHeaders(requests_per_min=500)
    assert RateHeaders.read({"x-ratelimit-remaining-tokens": "0"}) is None
    assert RateHeaders.read({"content-type": "application/json"}) is None


def test_rate_settings() -> None:
    """A model's own limit comes before its provider's."""
    settings = RateSettings.of(
        {
            "LABELBUS_RATE_OPENAI_RPM": "500",
            "LABELBUS_RATE_OPENAI_TPM": "60000",
            "LABELBUS_RATES": '{"luna": {"rpm": 20}}',
        }
    )
    assert settings.limits("openai", "luna").requests_per_min == 20
    assert settings.limits("openai", "luna").tokens_per_min == 60000
    assert settings.limits("openai", "terra").requests_per_min == 500
    assert settings.limits("other", "terra").tokens_per_min is None


@pytest.mark.parametrize(
    ("provider", "named", "key"),
    [
        ("api.openai.com", "OPENAI", "OPENAI_API_KEY"),
        ("eyes.openai.azure.com", "AZURE", "AZURE_OPENAI_API_KEY"),
        ("huggingface", "HUGGINGFACE", "HF_API_KEY"),
        ("localhost:8000", "LOCALHOST_8000", "LOCALHOST_8000_API_KEY"),
    ],
)
def test_providers_are_called_by_a_short_name(provider: str, named: str, key: str) -> None:
    """Labelers name providers by their host; settings and keys by what people call them."""
    settings = RateSettings.of({f"LABELBUS_RATE_{named}_RPM": "7", key: "k-1", "OTHER_API_KEY": "k-2"})
    assert settings.limits(provider, "luna").requests_per_min == 7
    assert settings.bucket(provider, "luna").key == settings.keys[key]


@pytest.mark.parametrize(
    "environ",
    [
        {"LABELBUS_RATE_OPENAI_RPM": "many"},
        {"LABELBUS_RATE_WAIT_S": "-1"},
        {"LABELBUS_RATES": "[1]"},
        {"LABELBUS_RATES": '{"luna": {"rps": 1}}'},
        {"LABELBUS_RATES": '{"luna": {"rpm": 0}}'},
    ],
)
def test_wrong_rate_settings(environ: dict[str, str]) -> None:
    """A wrong setting is named."""
    with pytest.raises(SettingsError, match=next(iter(environ))):
        RateSettings.of(environ)
