"""The list of metrics is the metrics."""

from labelbus_runtime.metrics import NAMES, REGISTRY


def test_every_metric_is_listed_with_its_meaning() -> None:
    """What `/metrics` shows and what the list names are the same."""
    assert {family.name for family in REGISTRY.collect()} == NAMES
