"""The one point where faults of SQLAlchemy, SQLite and asyncpg become ours."""

import sqlite3

import sqlalchemy as sa
from labelbus_runtime.errors import InvalidMessage, Unavailable

from labelbus_ledger.errors import (
    LedgerError,
    LedgerNotFound,
    LedgerNotMigrated,
    LedgerReadOnly,
    LedgerRefused,
    NotALedger,
)

_Ours = type[Unavailable] | type[LedgerError] | type[InvalidMessage]

_SQLITE: dict[int, tuple[_Ours, str, str]] = {
    sqlite3.SQLITE_BUSY: (Unavailable, "is locked by another process", "Try again in a moment."),
    sqlite3.SQLITE_LOCKED: (Unavailable, "is locked", "Try again in a moment."),
    sqlite3.SQLITE_PROTOCOL: (Unavailable, "is locked by another process", "Try again in a moment."),
    sqlite3.SQLITE_FULL: (Unavailable, "has no room: the disk is full", "Free space on its disk."),
    sqlite3.SQLITE_IOERR: (Unavailable, "cannot be read or written", "Check its disk and free space."),
    sqlite3.SQLITE_NOMEM: (Unavailable, "needs more memory than there is", "Free memory."),
    sqlite3.SQLITE_READONLY: (
        LedgerReadOnly,
        "cannot be written",
        "Give this user write access to the file and its folder, or set LABELBUS_HOME.",
    ),
    sqlite3.SQLITE_PERM: (LedgerReadOnly, "cannot be written", "Give this user access to the file."),
    sqlite3.SQLITE_CANTOPEN: (
        LedgerNotFound,
        "cannot be opened",
        "Check that its folder exists and that this user may write there.",
    ),
    sqlite3.SQLITE_NOTADB: (
        NotALedger,
        "is not a SQLite database",
        "Move the file away, or name another one in LABELBUS_DATABASE_URL.",
    ),
    sqlite3.SQLITE_CORRUPT: (NotALedger, "is damaged", "Restore the file from a backup, or move it away."),
}

_POSTGRESQL: tuple[tuple[str, _Ours, str, str], ...] = (  # by longest prefix of the SQLSTATE
    ("40001", Unavailable, "met a concurrent change", "Try again in a moment."),
    ("40P01", Unavailable, "broke a deadlock", "Try again in a moment."),
    ("55P03", Unavailable, "has the rows locked", "Try again in a moment."),
    ("57014", Unavailable, "took too long", "Try again, and check the server's load."),
    ("53100", Unavailable, "has no room: its disk is full", "Free space on the server."),
    ("53300", Unavailable, "has no connection left", "Raise max_connections, or run fewer processes."),
    ("53", Unavailable, "has too few resources", "Check the server."),
    ("57P", Unavailable, "is starting or stopping", "Try again in a moment."),
    ("08", Unavailable, "is away", "Check that the server runs and can be reached."),
    ("58", Unavailable, "has a fault of its own system", "Check the server's log."),
    ("25006", Unavailable, "accepts no writes now", "Check that it is the primary server."),
    ("22001", InvalidMessage, "has no room for a value", "Shorten the names and ids of the message."),
    ("22021", InvalidMessage, "takes no such text", "Leave out NUL characters."),
    ("28", LedgerRefused, "does not let us in", "Check user and password in LABELBUS_DATABASE_URL."),
    ("42501", LedgerRefused, "does not let us use its tables", "Grant this user the rights on the tables."),
    ("3D000", LedgerNotFound, "does not exist", "Create the database, then run `labelbus ledger upgrade`."),
    ("42P01", LedgerNotMigrated, "lacks a table", "Run `labelbus ledger upgrade`."),
    ("42703", LedgerNotMigrated, "lacks a column", "Run `labelbus ledger upgrade`."),
)


def translated(error: BaseException, where: str) -> Unavailable | LedgerError | InvalidMessage | None:
    """Return what a database's fault means to us, or nothing where it is a bug."""
    if isinstance(error, sa.exc.TimeoutError):
        return Unavailable(f"The ledger {where} has no free connection. Try again in a moment.")
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    found = _of_sqlite(cause) if isinstance(cause, sqlite3.Error) else _of_postgresql(error, cause)
    if found is None:
        return None
    kind, fact, remedy = found
    return kind(f"The ledger {where} {fact}. {remedy}")


def unreachable(error: OSError, where: str) -> Unavailable:
    """Return what it means that no connection could be made (refused, timed out, host unknown)."""
    why = str(error) or type(error).__name__
    return Unavailable(f"The ledger {where} is away ({why}). Check that the server runs and can be reached.")


def _of_sqlite(cause: sqlite3.Error) -> tuple[_Ours, str, str] | None:
    code = getattr(cause, "sqlite_errorcode", None)
    return None if code is None else _SQLITE.get(code & 0xFF)


def _of_postgresql(error: BaseException, cause: BaseException | None) -> tuple[_Ours, str, str] | None:
    state = getattr(cause, "sqlstate", None) or ""
    for prefix, kind, fact, remedy in _POSTGRESQL:
        if state.startswith(prefix):
            return kind, fact, remedy
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return Unavailable, "is away", "Check that the server runs and can be reached."
    return None
