"""The Kafka carrier while it has no connection."""

from collections.abc import Callable

import pytest
from labelbus_contracts.v1.commands import LabelSample
from labelbus_runtime.errors import Unavailable
from labelbus_runtime.kafka import KafkaCarrier
from labelbus_runtime.settings import KafkaSettings


async def test_what_is_published_before_the_start_waits(label_sample: Callable[..., LabelSample]) -> None:
    """A service whose loops begin before its broker is connected comes back later; it has met no bug."""
    carrier = KafkaCarrier(KafkaSettings(), source="test")
    with pytest.raises(Unavailable, match=r"Kafka at 127.0.0.1:9092 does not answer \(no connection\)"):
        await carrier.publish([label_sample()])
