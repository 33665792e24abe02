"""Leases: one holder at a time for a name, for as long as it renews."""

from dataclasses import dataclass

import sqlalchemy as sa

from labelbus_ledger.clock import now_of
from labelbus_ledger.engine import Ledger
from labelbus_ledger.tables import leases


@dataclass(frozen=True, slots=True)
class Lease:
    """The wish of `holder` to hold `name`. A lease not renewed for `ttl_s` lapses and may be taken over."""

    ledger: Ledger
    name: str
    holder: str
    ttl_s: float

    async def acquire_or_renew(self) -> bool:
        """Tell whether we hold it now. Raises `Unavailable`: then we hold it until it lapses, not longer."""
        async with self.ledger.write() as connection:
            now = now_of(connection)
            insert = self.ledger.insert(leases).values(
                name=self.name, holder=self.holder, expires_at=now + self.ttl_s
            )
            ours_or_free = (leases.c.holder == self.holder) | (leases.c.expires_at < now)
            result = await connection.execute(
                insert.on_conflict_do_update(
                    index_elements=[leases.c.name],
                    set_={"holder": insert.excluded.holder, "expires_at": insert.excluded.expires_at},
                    where=ours_or_free,
                )
            )
            return result.rowcount == 1

    async def release(self) -> None:
        """Give it up, if it is ours."""
        async with self.ledger.write() as connection:
            await connection.execute(
                sa.delete(leases).where(leases.c.name == self.name, leases.c.holder == self.holder)
            )
