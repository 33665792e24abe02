"""A labeler's process: on a carrier its messages are answered; on Kafka nothing happens before it starts."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from labelbus_contracts.topics import EVENTS
from labelbus_contracts.v1.events import SampleFailed, SampleLabeled
from labelbus_contracts.v1.message import Message
from labelbus_labeling.app import kafka_app
from labelbus_labeling.labeler import Registration
from labelbus_ledger.engine import Ledger
from labelbus_runtime.embedded import EmbeddedCarrier
from labelbus_runtime.errors import SettingsError
from labelbus_runtime.testing import run_until
from labelbus_runtime.worker import Worker

if TYPE_CHECKING:
    from .conftest import Bench


async def test_on_a_carrier(bench: "Bench") -> None:
    """Twelve pictures and one that is gone are answered, each once."""
    seen: list[Message] = []

    async def see(message: Message) -> list[Message]:
        seen.append(message)
        return []

    carrier = EmbeddedCarrier()
    for worker in (*bench.service.workers(), Worker("test", EVENTS, see, "test")):
        carrier.mount(worker)
    await bench.service.start(carrier)
    await carrier.start()
    await carrier.publish([bench.ask(sample_id) for sample_id in (*range(1, 13), 404)])
    await run_until(lambda: len(seen) == 13)
    await carrier.stop()
    await bench.service.stop()
    assert {one.sample_id for one in seen if isinstance(one, SampleLabeled)} == {*range(1, 13)}
    assert [one.sample_id for one in seen if isinstance(one, SampleFailed)] == [404]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for the ledger, and a Kafka that nobody answers at."""
    monkeypatch.setenv("LABELBUS_HOME", str(tmp_path))
    monkeypatch.delenv("LABELBUS_DATABASE_URL", raising=False)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setattr("labelbus_labeling.app.configure_logging", lambda settings: None)
    return tmp_path


def test_kafka_app(home: Path, registration: Registration, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app is made without opening the ledger or reaching Kafka."""

    async def fail(self: Ledger) -> None:
        raise AssertionError("opened too early")

    monkeypatch.setattr(Ledger, "prepare", fail)
    assert callable(kafka_app(registration, {}))


def test_wrong_settings(home: Path, registration: Registration, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting is named by its variable."""
    monkeypatch.setenv("LABELBUS_CACHE_BYTES", "-1")
    with pytest.raises(SettingsError, match="LABELBUS_CACHE_BYTES"):
        kafka_app(registration, {})
