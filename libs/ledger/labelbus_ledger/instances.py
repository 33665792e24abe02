"""Which processes are alive, and how much each works on at once."""

import hashlib
import logging
from typing import Final

import sqlalchemy as sa
from labelbus_runtime.errors import LabelbusError
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger.clock import now_of
from labelbus_ledger.engine import Ledger
from labelbus_ledger.loops import Loop
from labelbus_ledger.tables import instances

log = logging.getLogger(__name__)
REPORT_EVERY_S: Final = 5.0
SEEN_WITHIN_S: Final = 20.0
_FORGOTTEN_AFTER_S: Final = 24 * 3600.0


def kafka_carrier_id(bootstrap_servers: str, topic_prefix: str = "") -> str:
    """Return what jobs and instances of a Kafka cluster are marked with: alike in all its processes."""
    servers = ",".join(sorted(one.strip() for one in bootstrap_servers.split(",")))
    name = f"kafka:{servers}" + (f"/{topic_prefix}" if topic_prefix else "")
    return name if len(name) <= 128 else "kafka:" + hashlib.sha256(name.encode()).hexdigest()


async def report(ledger: Ledger, carrier: str, service: str, name: str, capacity: int) -> None:
    """Say once that an instance lives. `service` is a labeler's name, or a service's."""
    async with ledger.write() as connection:
        now = now_of(connection)
        insert = ledger.insert(instances).values(
            carrier=carrier, service=service, name=name, capacity=capacity, seen_at=now
        )
        await connection.execute(
            insert.on_conflict_do_update(
                index_elements=["carrier", "service", "name"],
                set_={"capacity": insert.excluded.capacity, "seen_at": insert.excluded.seen_at},
            )
        )
        await connection.execute(sa.delete(instances).where(instances.c.seen_at < now - _FORGOTTEN_AFTER_S))


async def withdraw(ledger: Ledger, carrier: str, service: str, name: str) -> None:
    """Say that an instance has ended."""
    async with ledger.write() as connection:
        await connection.execute(
            sa.delete(instances).where(
                instances.c.carrier == carrier, instances.c.service == service, instances.c.name == name
            )
        )


async def capacities(connection: AsyncConnection, carrier: str) -> dict[str, int]:
    """Return the capacity of each service, summed over the instances seen lately."""
    rows = await connection.execute(
        sa.select(instances.c.service, sa.func.sum(instances.c.capacity).label("capacity"))
        .where(instances.c.carrier == carrier, instances.c.seen_at >= now_of(connection) - SEEN_WITHIN_S)
        .group_by(instances.c.service)
    )
    return {row.service: int(row.capacity) for row in rows}


class Heartbeat:
    """Reports one instance every few seconds from `start` to `stop`."""

    def __init__(self, ledger: Ledger, carrier: str, service: str, name: str, capacity: int) -> None:
        self._ledger = ledger
        self._identity = (carrier, service, name)
        self._capacity = capacity
        self._loop = Loop(f"heartbeat of {service}", self._beat, every_s=REPORT_EVERY_S)

    async def start(self) -> None:
        """Report now, then in the background. Raises `Unavailable` where the first report fails."""
        await self._beat()
        self._loop.start()

    async def stop(self) -> None:
        """Stop, and withdraw the instance; where that fails, it is forgotten in a while anyway."""
        await self._loop.stop()
        try:
            await withdraw(self._ledger, *self._identity)
        except LabelbusError as error:
            log.warning("The instance %s of %s is still listed: %s", *self._identity[2:0:-1], error)

    async def _beat(self) -> None:
        await report(self._ledger, *self._identity, self._capacity)
