"""One clock for what several machines compare: the server's on PostgreSQL, the machine's on SQLite."""

import time

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


def now_of(connection: AsyncConnection) -> sa.ColumnElement[float]:
    """Return an expression for the present time in unix seconds."""
    if connection.dialect.name == "postgresql":
        return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)
    return sa.literal(time.time(), sa.Double)
