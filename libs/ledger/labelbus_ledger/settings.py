"""Where the ledger is: `LABELBUS_DATABASE_URL`, or a SQLite file below `LABELBUS_HOME`."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from platformdirs import user_data_path
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from labelbus_ledger.errors import LedgerNotFound


class LedgerSettings(BaseSettings):
    """The database, and the keys that seal secrets. Each field is read from `LABELBUS_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="LABELBUS_", extra="ignore", env_ignore_empty=True)

    database_url: SecretStr | None = Field(
        default=None, description="postgresql://user:password@host/name, or sqlite:///path. Empty: a file."
    )
    home: Path = Field(
        default_factory=lambda: user_data_path("labelbus"), description="Folder of the ledger file."
    )
    secret_keys: SecretStr | None = Field(
        default=None, description="Fernet keys that seal secrets, comma-separated, the newest first."
    )

    @property
    def url(self) -> sa.URL:
        """Return the URL with the asynchronous driver in it. Raises `LedgerNotFound` for an unusable one."""
        given = self.database_url.get_secret_value().strip() if self.database_url else ""
        if not given:
            return sa.URL.create("sqlite+aiosqlite", database=str(self.home.expanduser() / "ledger.db"))
        return _with_driver(_parsed(given))


def shown(url: sa.URL) -> str:
    """Return a URL as people may see it: without driver, password and query."""
    plain = url.set(drivername=url.get_backend_name(), query={})
    return plain.render_as_string(hide_password=True)


def _parsed(text: str) -> sa.URL:
    if text.startswith("postgres://"):
        text = "postgresql://" + text.removeprefix("postgres://")
    try:
        return sa.make_url(text)
    except sa.exc.ArgumentError:
        raise LedgerNotFound(
            "LABELBUS_DATABASE_URL is not a URL. Write postgresql://user:password@host/name or sqlite:///path."
        ) from None


def _with_driver(url: sa.URL) -> sa.URL:
    backend = url.drivername.split("+")[0]
    if backend == "sqlite" and url.database and url.database != ":memory:":
        return url.set(drivername="sqlite+aiosqlite")
    if backend == "postgresql":
        return url.set(drivername="postgresql+asyncpg", query=_asyncpg_query(dict(url.query)))
    raise LedgerNotFound(
        f"LABELBUS_DATABASE_URL names {url.drivername!r}: neither PostgreSQL nor a SQLite file. "
        "Write postgresql://user:password@host/name or sqlite:///path."
    )


def _asyncpg_query(query: dict[str, Any]) -> dict[str, Any]:
    """Give libpq's `sslmode` the name that asyncpg knows."""
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return query
