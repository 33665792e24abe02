"""A connection to SQLite whose calls have ended before a cancelled caller goes on.

aiosqlite leaves the call of a cancelled task running in its thread, so that a transaction could begin, and
lock the file, after everybody believed it rolled back.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

import aiosqlite

_ITER_CHUNK = 64


class PatientConnection(aiosqlite.Connection):
    """Waits for its thread also when cancelled; the cancellation follows."""

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        except asyncio.CancelledError:
            await self._fence()
            raise

    async def _fence(self) -> None:
        """Return once the thread has done all that was asked of it, however often we are cancelled."""
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tx.put_nowait((reached, lambda: None))
        while not reached.done():
            try:
                await asyncio.shield(reached)
            except asyncio.CancelledError:
                continue  # the first cancellation is raised in the end


def connect(database: str, **options: Any) -> PatientConnection:
    """Return a connection, not open yet, as `aiosqlite.connect` does."""
    connection = PatientConnection(lambda: sqlite3.connect(database, **options), _ITER_CHUNK)
    connection._thread.daemon = True
    return connection
