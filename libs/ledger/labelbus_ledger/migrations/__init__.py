"""Alembic migrations of the ledger. Revision `0001` makes schema version 1, and so on.

A migration expands first: it adds, and states in `ledger.oldest_compatible` which versions still understand.
"""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

_HERE = Path(__file__).parent


def configuration(connection: sa.Connection | None = None) -> Config:
    """Return Alembic's configuration, bound to a connection whose transaction is open."""
    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = connection
    return config


def run_migrations(connection: sa.Connection) -> None:
    """Bring the database to the newest revision, inside the connection's transaction."""
    command.upgrade(configuration(connection), "head")
