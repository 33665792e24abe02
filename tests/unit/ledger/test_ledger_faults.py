"""Every fault of a database comes out as ours, with what, where and how to mend it."""

import os
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from labelbus_ledger import tables
from labelbus_ledger.engine import Ledger, LedgerSettings, upgrade
from labelbus_ledger.errors import LedgerNotFound, LedgerNotMigrated, LedgerReadOnly, LedgerRefused
from labelbus_ledger.instances import Heartbeat
from labelbus_runtime.errors import InvalidMessage, Unavailable
from pydantic import SecretStr

_LEASE = {"name": "a", "holder": "me", "expires_at": 0.0}


@pytest.fixture
async def sqlite_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ledger]:
    """A SQLite ledger that does not wait long for locks."""
    monkeypatch.setattr("labelbus_ledger.engine._BUSY_TIMEOUT_S", 0.05)
    ledger = await Ledger.open(LedgerSettings(home=tmp_path))
    yield ledger
    await ledger.close()


@pytest.fixture
async def postgres_ledger(postgres_url: str) -> AsyncIterator[Ledger]:
    """A migrated PostgreSQL ledger."""
    settings = LedgerSettings(database_url=SecretStr(postgres_url))
    await upgrade(settings)
    ledger = await Ledger.open(settings)
    yield ledger
    await ledger.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder outside of pytest's own, which only its owner may enter."""
    path = Path(tempfile.mkdtemp(prefix="labelbus-"))
    try:
        yield path
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        path.chmod(0o755)
        shutil.rmtree(path)


def _take_rights(folder: Path) -> None:
    """Leave this process to read the ledger only: root becomes nobody, until the fixture ends."""
    (folder / "ledger.db").chmod(0o444)
    folder.chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(65534)


async def _insert(ledger: Ledger) -> None:
    async with ledger.write() as connection:
        await connection.execute(ledger.insert(tables.leases).values(_LEASE))


async def test_locked(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    """A ledger locked by another process is away for now, and works again afterwards."""
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match=r"ledger\.db is locked by another process"):
        await _insert(sqlite_ledger)
    other.execute("ROLLBACK")
    other.close()
    await _insert(sqlite_ledger)


async def test_writers_begin_at_once(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    """A writer that first reads is not overtaken by another process, and does not fail half-way."""
    rival = await Ledger.open(LedgerSettings(home=tmp_path))
    async with sqlite_ledger.write() as connection:
        await connection.execute(sa.select(tables.leases))
        with pytest.raises(Unavailable):
            await _insert(rival)
        await connection.execute(sa.insert(tables.leases), [_LEASE])
    await rival.close()


async def test_heartbeat_stops(
    sqlite_ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A ledger that is away does not keep a process from stopping."""
    heartbeat = Heartbeat(sqlite_ledger, "c", "owl-vit", "one", 32)
    await heartbeat.start()
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await heartbeat.stop()
    other.close()
    assert "one of owl-vit is still listed" in caplog.text


async def test_disk_full(sqlite_ledger: Ledger) -> None:
    """A full disk is waited out; what did not fit is rolled back."""
    secret = {"name": "a", "project_id": 1, "sealed": os.urandom(1_000_000), "created_at": 0.0}
    with pytest.raises(Unavailable, match="disk is full"):
        async with sqlite_ledger.write() as connection:
            pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
            await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 5}")
            await connection.execute(sa.insert(tables.secrets), [secret])
    async with sqlite_ledger.read() as connection:
        assert (await connection.execute(sa.select(tables.secrets))).all() == []


async def test_read_only(folder: Path) -> None:
    """A ledger that cannot be written says whose rights to mend."""
    settings = LedgerSettings(home=folder)
    await (await Ledger.open(settings)).close()
    _take_rights(folder)
    ledger = Ledger.at(settings)
    with pytest.raises((LedgerReadOnly, LedgerNotFound), match=r"write access|may write there"):
        await _insert(ledger)
    await ledger.close()


async def test_query_only(sqlite_ledger: Ledger) -> None:
    """SQLite's refusal to write is a `LedgerReadOnly`."""
    with pytest.raises(LedgerReadOnly, match="write access"):
        async with sqlite_ledger.write() as connection:
            await connection.exec_driver_sql("PRAGMA query_only = ON")
            await connection.execute(sa.insert(tables.leases), [_LEASE])


async def test_bugs_pass(sqlite_ledger: Ledger) -> None:
    """What is no fault of the database stays as it is."""
    with pytest.raises(sa.exc.IntegrityError):
        async with sqlite_ledger.write() as connection:
            await connection.execute(sa.insert(tables.leases), [_LEASE, _LEASE])
    with pytest.raises(ConnectionResetError):
        async with sqlite_ledger.write():
            raise ConnectionResetError("the caller's own")


async def test_server_away() -> None:
    """A server that does not answer is away, not wrongly configured; no password is shown."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = SecretStr(f"postgresql://u:hunter2@127.0.0.1:{port}/d")
    with pytest.raises(Unavailable, match="is away") as caught:
        await Ledger.open(LedgerSettings(database_url=url))
    assert "hunter2" not in str(caught.value)


@pytest.mark.postgres
async def test_connection_lost(postgres_ledger: Ledger) -> None:
    """A connection cut in the middle of a write is waited out; the next write makes a new one."""
    with pytest.raises(Unavailable, match=r"starting or stopping|is away"):
        async with postgres_ledger.write() as connection:
            await connection.execute(sa.insert(tables.leases), [_LEASE])
            async with postgres_ledger.write() as other:
                await other.execute(
                    sa.text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
            await connection.execute(sa.text("SELECT 1"))
    await _insert(postgres_ledger)


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("40001", Unavailable),
        ("40P01", Unavailable),
        ("53100", Unavailable),
        ("57P01", Unavailable),
        ("42P01", LedgerNotMigrated),
        ("42501", LedgerRefused),
    ],
)
async def test_states(postgres_ledger: Ledger, state: str, kind: type[Exception]) -> None:
    """Serialization, deadlock, full disk and shutdown are waited out; missing tables and rights are not."""
    with pytest.raises(kind):
        async with postgres_ledger.write() as connection:
            await connection.execute(
                sa.text(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$")
            )


@pytest.mark.postgres
async def test_no_database(postgres_url: str) -> None:
    """A database that does not exist is named."""
    url = SecretStr(postgres_url.replace("@/test_", "@/missing_"))
    with pytest.raises(LedgerNotFound, match="Create the database"):
        await Ledger.open(LedgerSettings(database_url=url))


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("holder", "said"), [("x" * 129, "has no room for a value"), ("a\0b", "takes no such text")]
)
async def test_a_value_that_no_column_takes_is_the_messages_fault(
    postgres_ledger: Ledger, holder: str, said: str
) -> None:
    """An id of hundreds of letters, or with NUL, concerns its message alone; it stops no worker."""
    with pytest.raises(InvalidMessage, match=said):
        async with postgres_ledger.write() as conn:
            await conn.execute(sa.insert(tables.leases).values({**_LEASE, "holder": holder}))
