"""A fresh ledger per test, on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from labelbus_ledger.engine import Ledger, LedgerSettings, upgrade
from pydantic import SecretStr


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> LedgerSettings:
    """Settings of a ledger that does not exist yet."""
    if request.param == "sqlite":
        return LedgerSettings(home=tmp_path)
    return LedgerSettings(database_url=SecretStr(request.getfixturevalue("postgres_url")))


@pytest.fixture
async def ledger(settings: LedgerSettings) -> AsyncIterator[Ledger]:
    """A migrated ledger."""
    await upgrade(settings)
    opened = await Ledger.open(settings)
    yield opened
    await opened.close()
