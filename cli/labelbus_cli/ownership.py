"""Who runs an embedded job: a lease in the ledger, held by a process of some machine."""

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from labelbus_ledger.committer import CommitterRows
from labelbus_ledger.engine import Ledger
from labelbus_ledger.leases import Lease
from labelbus_ledger.tables import leases
from sqlalchemy.ext.asyncio import AsyncConnection

LEASE_S: Final = 5.0
"""A process that has not renewed its lease for so long is gone."""
RENEW_EVERY_S: Final = 1.0
LATE_S: Final = 1.0
"""How long the last request of a process that was killed may still be on its way to Studio."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that a job belongs to."""

    host: str
    pid: int
    lapses_in_s: float
    is_known_dead: bool

    @property
    def may_live(self) -> bool:
        """Tell whether the job must be left to it."""
        return self.lapses_in_s > 0 and not self.is_known_dead


def process_lease(ledger: Ledger, carrier_id: str) -> Lease:
    """Return the lease under which this process owns the jobs of `carrier_id`."""
    return Lease(ledger, f"process:{carrier_id}", _holder(os.getpid()), LEASE_S)


async def owner_of(conn: AsyncConnection, carrier_id: str) -> Owner | None:
    """Return who holds a carrier's lease; None where it was given up."""
    query = sa.select(leases.c.holder, leases.c.expires_at).where(leases.c.name == f"process:{carrier_id}")
    row = (await conn.execute(query)).first()
    if row is None:
        return None
    host, _, rest = row.holder.rpartition("|")
    pid_text, _, _ = rest.partition(".")
    pid = int(pid_text) if pid_text.isdecimal() else 0
    is_dead = bool(pid) and host == socket.gethostname()[:64] and row.holder != _holder(pid)
    return Owner(host, pid, row.expires_at - time.time(), is_dead)


async def is_run(conn: AsyncConnection, carrier_id: str) -> bool:
    """Tell whether the process that runs an embedded carrier may be alive."""
    owner = await owner_of(conn, carrier_id)
    return owner is not None and owner.may_live


def committer_of(carrier_id: str) -> str:
    """Return what the tokens of an embedded process's claims begin with."""
    return carrier_id.rpartition(":")[2].replace("-", "")


async def lapse_claims(ledger: Ledger, carrier_id: str) -> int:
    """Shorten the claims of a process that gave its jobs up, or is known to be dead here; return how many.

    What it was writing is read back and finished within seconds instead of `LABELBUS_CLAIM_S`.
    """
    async with ledger.read() as connection:
        owner = await owner_of(connection, carrier_id)
    if owner is not None and not owner.is_known_dead:
        return 0
    return await CommitterRows(ledger).lapse(committer_of(carrier_id), in_s=LATE_S)


def _holder(pid: int) -> str:
    """Name a process by host, number and start, so that a number used again is another process."""
    return f"{socket.gethostname()[:64]}|{pid}.{_started(pid)}"


def _started(pid: int) -> str:
    """Return when a process started, in ticks since boot; `gone` for none, `alive` where unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "alive" if _is_alive(pid) else "gone"
    fields = stat.rpartition(")")[2].split()
    return "gone" if fields[0] == "Z" else fields[19]


def _is_alive(pid: int) -> bool:
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
