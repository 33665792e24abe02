"""Workers that share reservations use a key's limits and are not rejected: simulated on its own clock."""

from dataclasses import replace

import pytest
from labelbus_labeling.paid.simulation import Setting, naive, shared


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "setting",
    [
        Setting(),
        Setting(concurrency=8),
        Setting(tokens=(40, 60)),  # requests are the tighter limit, tokens reserved six times too many
        Setting(tokens=(40, 600), reserved=1000, concurrency=64),
    ],
)
def test_limits_are_used(setting: Setting, seed: int) -> None:
    """At least 95 % of the tighter limit is used and less than 0.1 % of the calls are rejected."""
    result = shared(replace(setting, seed=seed))
    assert result.served == setting.calls
    assert 0.95 <= result.used <= 1.01
    assert result.rejected_share < 0.001


def test_repeating_is_worse() -> None:
    """The provider of the simulation does reject: workers that repeat as SDKs do lose calls."""
    assert naive(Setting(concurrency=16)).given_up > 1000
    assert naive(Setting(concurrency=1)).used < 0.6
