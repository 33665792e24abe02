"""The ledger's door: connections, transactions and the check of its version, on SQLite and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from labelbus_ledger import patient, tables
from labelbus_ledger.errors import LedgerNotFound, LedgerNotMigrated, LedgerTooNew, NotALedger
from labelbus_ledger.faults import translated, unreachable
from labelbus_ledger.settings import LedgerSettings, shown

__all__ = ["SCHEMA_VERSION", "Insert", "Ledger", "LedgerSettings", "upgrade"]

SCHEMA_VERSION: Final = 5
"""Counts the migrations: `migrations/versions/0001_….py` makes version 1."""

Insert: TypeAlias = sqlite.Insert | postgresql.Insert
"""An insert that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""

_BUSY_TIMEOUT_S: Final = 10.0
_CONNECT_TIMEOUT_S: Final = 10.0
_COMMAND_TIMEOUT_S: Final = 60.0
_WRITES: Final = "labelbus_writes"


class Ledger:
    """One database. Writers of a process queue fairly on SQLite, where only one can write at a time."""

    def __init__(self, url: sa.URL) -> None:
        self.dialect: Literal["sqlite", "postgresql"] = (
            "sqlite" if url.get_backend_name() == "sqlite" else "postgresql"
        )
        self.url = shown(url)
        self._engine = _sqlite_engine(url) if self.dialect == "sqlite" else _postgresql_engine(url)
        self._writer = self._engine.execution_options(**{_WRITES: True})
        self._turn: asyncio.Lock | nullcontext[None] = (
            asyncio.Lock() if self.dialect == "sqlite" else nullcontext()
        )

    @classmethod
    async def open(cls, settings: LedgerSettings) -> Self:
        """Connect and check the version; a SQLite file is made and migrated, PostgreSQL only checked.

        Raises `Unavailable` and `LedgerError`.
        """
        ledger = cls.at(settings)
        try:
            await ledger.prepare()
        except BaseException:
            await ledger.close()
            raise
        return ledger

    @classmethod
    def at(cls, settings: LedgerSettings) -> Self:
        """Return a ledger that is not connected yet; `prepare` comes first. Raises `LedgerError`."""
        url = settings.url
        if url.get_backend_name() == "sqlite":
            _make_file(url, make_folder=not settings.database_url)
        return cls(url)

    async def prepare(self) -> None:
        """Do what `open` does beside making the object. Raises `Unavailable` and `LedgerError`."""
        if await self._is_current():
            return
        if self.dialect == "postgresql":
            raise LedgerNotMigrated(f"The ledger {self.url} is not migrated. Run `labelbus ledger upgrade`.")
        await self.migrate()

    async def migrate(self) -> None:
        """Bring the tables to this version. Safe to repeat, and under several processes at once."""
        from labelbus_ledger.migrations import run_migrations  # Alembic costs a quarter of a second

        async with self.write() as connection:
            if self.dialect == "postgresql":
                await connection.execute(sa.text("SELECT pg_advisory_xact_lock(7405871)"))
            version = await _version(connection)  # another process may have been faster
            if not _understands(version, self.url):
                await _refuse_foreign_file(connection, self)
                await connection.run_sync(run_migrations)

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction for reading. Raises `Unavailable` and `LedgerError`."""
        return self._transaction(self._engine)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Open ONE transaction that commits at the exit. Raises `Unavailable` and `LedgerError`.

        On SQLite it begins immediately, so that it never fails half-way for another writer.
        """
        async with self._turn, self._transaction(self._writer) as connection:
            yield connection

    def insert(self, table: sa.Table) -> Insert:
        """Return an insert of this database's dialect."""
        return sqlite.insert(table) if self.dialect == "sqlite" else postgresql.insert(table)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        connected = False
        try:
            async with engine.connect() as connection:
                connected = True
                async with connection.begin():
                    yield connection
        except OSError as error:  # the driver's own, while connecting; afterwards it is the caller's
            if connected:
                raise
            raise unreachable(error, self.url) from error
        except Exception as error:
            ours = translated(error, self.url)
            if ours is None:
                raise
            raise ours from error

    async def _is_current(self) -> bool:
        async with self.read() as connection:
            version = await _version(connection)
        return _understands(version, self.url)


async def upgrade(settings: LedgerSettings) -> None:
    """Bring the ledger's tables to this version. Safe to repeat, and under several processes at once."""
    ledger = Ledger.at(settings)
    try:
        await ledger.migrate()
    finally:
        await ledger.close()


def _understands(version: "tuple[int, int] | None", where: str) -> bool:
    """Tell whether we can work with (version, oldest compatible). Raises `LedgerTooNew`."""
    if version is None:
        return False
    is_now, oldest = version
    if oldest > SCHEMA_VERSION:
        raise LedgerTooNew(
            f"The ledger {where} needs schema {oldest} or newer, this Labelbus has {SCHEMA_VERSION}. "
            "Install a newer Labelbus."
        )
    return is_now >= SCHEMA_VERSION


async def _version(connection: AsyncConnection) -> tuple[int, int] | None:
    if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table(tables.ledger.name)):
        return None
    rows = (await connection.execute(sa.select(tables.ledger.c.key, tables.ledger.c.value))).all()
    values = {row.key: row.value for row in rows}
    if "version" not in values:
        return None
    return int(values["version"]), int(values.get("oldest_compatible", values["version"]))


async def _refuse_foreign_file(connection: AsyncConnection, ledger: Ledger) -> None:
    if ledger.dialect == "postgresql":
        return  # other programs may keep tables of theirs beside ours
    names = set(await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names()))
    if names and tables.ledger.name not in names:
        raise NotALedger(
            f"The file {ledger.url} belongs to another program (it has {len(names)} tables, none of ours). "
            "Name another file in LABELBUS_DATABASE_URL."
        )


def _make_file(url: sa.URL, *, make_folder: bool) -> None:
    """Create the file for its owner only; SQLite gives its journals the same rights."""
    path = Path(url.database or "")
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            path.touch(mode=0o600)
    except OSError as error:
        raise LedgerNotFound(
            f"The ledger {path} cannot be made ({error.strerror}). "
            "Check that its folder exists and that this user may write there."
        ) from error


def _sqlite_engine(url: sa.URL) -> AsyncEngine:
    engine = create_async_engine(
        url,
        connect_args={
            "isolation_level": None,  # we begin transactions ourselves
            "timeout": _BUSY_TIMEOUT_S,
            "async_creator_fn": patient.connect,
        },
        pool_size=8,
        max_overflow=0,
        pool_timeout=30,
    )

    @sa.event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def begin(connection: sa.Connection) -> None:
        statement = "BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN"
        connection.exec_driver_sql(statement)

    @sa.event.listens_for(engine.sync_engine, "invalidate")
    def roll_back(connection: Any, *_: object) -> None:
        """End what a cancelled call left: closing alone keeps the lock until its statements are collected."""
        connection.run_async(lambda driver: driver.rollback())

    return engine


def _postgresql_engine(url: sa.URL) -> AsyncEngine:
    return create_async_engine(
        url,
        connect_args={
            "timeout": _CONNECT_TIMEOUT_S,
            "command_timeout": _COMMAND_TIMEOUT_S,
            "server_settings": {"application_name": "labelbus"},
        },
        pool_size=8,
        max_overflow=8,
        pool_timeout=30,
        pool_recycle=1800,
    )
