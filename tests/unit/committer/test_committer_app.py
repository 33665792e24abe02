"""The committer's process can be put together from its environment."""

from pathlib import Path

import pytest
from labelbus_committer.settings import CommitterSettings
from labelbus_contracts.topics import EVENTS, WRITES
from labelbus_runtime.errors import SettingsError
from labelbus_runtime.kafka import KafkaCarrier
from labelbus_runtime.settings import load


async def test_app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Importing the app connects nothing, and mounts the two workers."""
    monkeypatch.setenv("LABELBUS_HOME", str(tmp_path))
    mounted: list[str] = []
    monkeypatch.setattr(KafkaCarrier, "mount", lambda _, worker: mounted.append(worker.topic.name))
    from labelbus_committer import app

    assert callable(app.app)
    assert mounted == [WRITES.name, EVENTS.name]


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are read from the environment; an attempt may not outlast its claim."""
    monkeypatch.setenv("LABELBUS_CONFLICT_CHECK_AFTER_S", "30")
    monkeypatch.setenv("LABELBUS_COMMITTER_CONCURRENCY", "8")
    settings = load(CommitterSettings)
    assert (settings.conflict_check_after_s, settings.concurrency) == (30.0, 8)
    assert CommitterSettings(concurrency=3).concurrency == 3
    monkeypatch.setenv("LABELBUS_ATTEMPT_S", "59")
    with pytest.raises(SettingsError, match="lower LABELBUS_ATTEMPT_S"):
        load(CommitterSettings)
