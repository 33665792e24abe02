"""Tokens of the HTTP API: shown once, kept as digests."""

import hashlib
import secrets
import time
from typing import Final

import sqlalchemy as sa
from pydantic import SecretStr

from labelbus_ledger.engine import Ledger
from labelbus_ledger.tables import tokens

_PREFIX: Final = "lb_"


class Tokens:
    """Creates, checks and revokes tokens."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def create(self, name: str) -> SecretStr:
        """Return a new token; it cannot be shown again. `name` is for people."""
        token = _PREFIX + secrets.token_urlsafe(32)
        async with self._ledger.write() as connection:
            await connection.execute(
                self._ledger.insert(tokens).values(digest=_digest(token), name=name, created_at=time.time())
            )
        return SecretStr(token)

    async def check(self, token: SecretStr) -> str | None:
        """Return the name of a token; None for one that is unknown or revoked."""
        async with self._ledger.read() as connection:
            name: str | None = await connection.scalar(
                sa.select(tokens.c.name).where(tokens.c.digest == _digest(token.get_secret_value()))
            )
        return name

    async def revoke(self, name: str) -> int:
        """Forget every token of a name; return how many there were."""
        async with self._ledger.write() as connection:
            result = await connection.execute(sa.delete(tokens).where(tokens.c.name == name))
        return result.rowcount


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
