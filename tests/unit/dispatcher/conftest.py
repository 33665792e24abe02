"""A ledger on SQLite and PostgreSQL, and a started dispatcher on it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from labelbus_dispatcher.testing import World, make_world
from labelbus_ledger.engine import Ledger, LedgerSettings, upgrade
from pydantic import SecretStr


@pytest.fixture
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    """A migrated ledger; on SQLite, unless a test's parameter says `postgresql`."""
    settings = LedgerSettings(home=tmp_path)
    if getattr(request, "param", "sqlite") == "postgresql":
        settings = LedgerSettings(database_url=SecretStr(request.getfixturevalue("postgres_url")))
    await upgrade(settings)
    opened = await Ledger.open(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def world(ledger: Ledger) -> AsyncIterator[World]:
    """A started world; set what its peers answer before submitting."""
    made = make_world(ledger)
    await made.carrier.start()
    await made.dispatcher.start(made.carrier)
    yield made
    await made.dispatcher.stop()
    await made.carrier.stop(drain_s=1)
