"""The ledger opens, migrates and commits alike on both databases."""

import asyncio
import os
import stat
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from labelbus_ledger import tables
from labelbus_ledger.engine import SCHEMA_VERSION, Ledger, LedgerSettings, upgrade
from labelbus_ledger.errors import LedgerNotFound, LedgerNotMigrated, LedgerTooNew, NotALedger
from labelbus_ledger.migrations import configuration
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection


def _differences(connection: sa.Connection) -> list[object]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "version_table": "alembic_version_labelbus"}
    )
    return list(compare_metadata(context, tables.metadata))


def _lease(ledger: Ledger, name: str) -> sa.Executable:
    return ledger.insert(tables.leases).values(name=name, holder="me", expires_at=0.0)


async def _names(ledger: Ledger) -> list[str]:
    async with ledger.read() as connection:
        return list(await connection.scalars(sa.select(tables.leases.c.name).order_by("name")))


async def test_migrated_schema(ledger: Ledger) -> None:
    """The migrations make exactly the tables that the code declares."""
    async with ledger.read() as connection:
        assert await connection.run_sync(_differences) == []


def test_schema_version() -> None:
    """The newest revision's number is the schema version."""
    scripts = ScriptDirectory.from_config(configuration())
    assert [int(head) for head in scripts.get_heads()] == [SCHEMA_VERSION]


async def test_write_commits(ledger: Ledger) -> None:
    """What a writer did is there for the next reader."""
    async with ledger.write() as connection:
        await connection.execute(_lease(ledger, "a"))
    assert await _names(ledger) == ["a"]


async def test_write_rolls_back(ledger: Ledger) -> None:
    """A writer that fails leaves nothing behind."""
    with pytest.raises(ZeroDivisionError):
        async with ledger.write() as connection:
            await connection.execute(_lease(ledger, "a"))
            _ = 1 / 0
    assert await _names(ledger) == []


async def test_cancelled_writer(ledger: Ledger) -> None:
    """A cancelled writer leaves nothing behind and lets the next one in."""
    entered = asyncio.Event()

    async def write_for_ever() -> None:
        async with ledger.write() as connection:
            await connection.execute(_lease(ledger, "a"))
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write_for_ever())
    await entered.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with ledger.write() as connection:
        await connection.execute(_lease(ledger, "b"))
    assert await _names(ledger) == ["b"]


async def test_insert_again(ledger: Ledger) -> None:
    """An insert that meets its row may do nothing."""
    for _ in range(2):
        async with ledger.write() as connection:
            insert = ledger.insert(tables.leases).values(name="a", holder="me", expires_at=0.0)
            await connection.execute(insert.on_conflict_do_nothing())
    assert await _names(ledger) == ["a"]


async def test_many_writers(ledger: Ledger) -> None:
    """Fifty writers at once all commit."""

    async def write(number: int) -> None:
        async with ledger.write() as connection:
            await connection.execute(_lease(ledger, f"{number:02}"))

    await asyncio.gather(*(write(number) for number in range(50)))
    assert len(await _names(ledger)) == 50


async def test_readers_see_one_moment(ledger: Ledger) -> None:
    """A reader is not blocked by an open writer, and does not see what is not committed."""
    async with ledger.write() as connection:
        await connection.execute(_lease(ledger, "a"))
        assert await _names(ledger) == []


async def test_upgrade_again(settings: LedgerSettings) -> None:
    """Upgrading twice, even at once, is as good as once."""
    await asyncio.gather(upgrade(settings), upgrade(settings))
    await upgrade(settings)
    ledger = await Ledger.open(settings)
    await ledger.close()


async def _set_oldest_compatible(connection: AsyncConnection, version: int) -> None:
    table = tables.ledger
    for key in ("version", "oldest_compatible"):
        await connection.execute(sa.update(table).where(table.c.key == key).values(value=str(version)))


async def test_too_new(settings: LedgerSettings) -> None:
    """A ledger that only newer versions understand is refused, and left as it is."""
    await upgrade(settings)
    ledger = await Ledger.open(settings)
    async with ledger.write() as connection:
        await _set_oldest_compatible(connection, SCHEMA_VERSION + 1)
    await ledger.close()
    with pytest.raises(LedgerTooNew, match="Install a newer Labelbus"):
        await Ledger.open(settings)
    with pytest.raises(LedgerTooNew):
        await upgrade(settings)


async def test_newer_but_compatible(settings: LedgerSettings) -> None:
    """A newer ledger that still understands this version is used as it is."""
    await upgrade(settings)
    ledger = await Ledger.open(settings)
    async with ledger.write() as connection:
        await _set_oldest_compatible(connection, SCHEMA_VERSION + 1)
        where = tables.ledger.c.key == "oldest_compatible"
        await connection.execute(sa.update(tables.ledger).where(where).values(value=str(SCHEMA_VERSION)))
    await ledger.close()
    await (await Ledger.open(settings)).close()


@pytest.mark.postgres
async def test_postgresql_not_migrated(postgres_url: str) -> None:
    """PostgreSQL is never migrated by the way; the error names the command that does."""
    with pytest.raises(LedgerNotMigrated, match="labelbus ledger upgrade"):
        await Ledger.open(LedgerSettings(database_url=SecretStr(postgres_url)))


async def test_file_rights(tmp_path: Path) -> None:
    """The file, its journals and its new folder are for their owner only."""
    home = tmp_path / "new" / "home"
    ledger = await Ledger.open(LedgerSettings(home=home))
    async with ledger.write() as connection:
        await connection.execute(_lease(ledger, "a"))
        rights = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}
    await ledger.close()
    assert rights == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


async def test_foreign_file(tmp_path: Path) -> None:
    """Another program's database is refused and not touched."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/ledger.db", poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE bookmarks (id INTEGER)")
    with pytest.raises(NotALedger, match="another program"):
        await Ledger.open(LedgerSettings(home=tmp_path))
    assert sa.inspect(engine).get_table_names() == ["bookmarks"]


async def test_garbage_file(tmp_path: Path) -> None:
    """A file of something else is named, not overwritten."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(NotALedger, match="is not a SQLite database"):
        await Ledger.open(LedgerSettings(home=tmp_path))
    assert path.read_bytes().startswith(b"no database")


async def test_missing_folder(tmp_path: Path) -> None:
    """A given path whose folder is missing is an error, not a new folder."""
    url = SecretStr(f"sqlite:///{tmp_path}/missing/ledger.db")
    with pytest.raises(LedgerNotFound, match="folder exists"):
        await Ledger.open(LedgerSettings(database_url=url))
    assert not (tmp_path / "missing").exists()


def test_home_from_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`LABELBUS_HOME` moves the file; an empty `LABELBUS_DATABASE_URL` means the file."""
    monkeypatch.setenv("LABELBUS_HOME", str(tmp_path))
    monkeypatch.setenv("LABELBUS_DATABASE_URL", "")
    assert LedgerSettings().url.database == str(tmp_path / "ledger.db")


@pytest.mark.parametrize("url", ["not a url", "mysql://u:hunter2@h/d", "sqlite://", "postgresql:hunter2"])
def test_unusable_url(url: str) -> None:
    """An unusable URL is explained without being repeated."""
    with pytest.raises(LedgerNotFound, match="LABELBUS_DATABASE_URL") as caught:
        _ = LedgerSettings(database_url=SecretStr(url)).url
    assert "hunter2" not in str(caught.value)


def test_password_is_not_shown() -> None:
    """What a ledger shows of its URL has no password."""
    url = LedgerSettings(database_url=SecretStr("postgres://u:hunter2@h:5433/d?sslmode=require")).url
    assert Ledger(url).url == "postgresql://u:***@h:5433/d"


async def test_update_rate(tmp_path: Path) -> None:
    """Transactions of 500 rows update at least 2,000 rows a second, even on a busy machine."""
    ledger = await Ledger.open(LedgerSettings(home=tmp_path))
    rows = [{"b_job": "job", "b_sample": number, "b_draft": "{}"} for number in range(5000)]
    table = tables.samples
    new = [{"job_id": "job", "sample_id": n, "position": n, "state": "pending"} for n in range(5000)]
    update = (
        sa.update(table)
        .where(table.c.job_id == sa.bindparam("b_job"), table.c.sample_id == sa.bindparam("b_sample"))
        .values(state="labeling", draft=sa.bindparam("b_draft"), attempt=table.c.attempt + 1)
    )
    async with ledger.write() as connection:
        await connection.execute(sa.insert(table), new)
    started = time.perf_counter()
    for first in range(0, 5000, 500):
        async with ledger.write() as connection:
            await connection.execute(update, rows[first : first + 500])
    rate = 5000 / (time.perf_counter() - started)
    await ledger.close()
    if os.environ.get("LABELBUS_SHOW_RATES"):
        print(f"{rate:,.0f} row updates/s")
    assert rate > 2_000
