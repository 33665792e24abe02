"""The committer's process can be put together from its environment."""

from pathlib import Path

import pytest
from labelbus_contracts.topics import EVENTS, WRITES
from labelbus_runtime.kafka import KafkaCarrier


async def test_app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Importing the app connects nothing, and mounts the two workers."""
    monkeypatch.setenv("LABELBUS_HOME", str(tmp_path))
    mounted: list[str] = []
    monkeypatch.setattr(KafkaCarrier, "mount", lambda _, worker: mounted.append(worker.topic.name))
    from labelbus_committer import app

    assert callable(app.app)
    assert mounted == [WRITES.name, EVENTS.name]
