"""Keepers of jobs: runs of a block outside the cluster, without which their job must not go on.

Functions take an open connection; the caller's transaction is the unit. A transaction that needs both locks
the keeper's row before the job's. Times are by the ledger's clock.
"""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from labelbus_contracts.ids import JobId, ProjectId, SecretName
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger.clock import now_of
from labelbus_ledger.engine import Ledger
from labelbus_ledger.tables import ENDED_JOB_STATES, claims, jobs, keepers, secrets

_PREFIX: Final = "keeper-"


@dataclass(frozen=True, slots=True)
class Keeper:
    """Who keeps a job. `mark` is alike for equal runs; `left_s` is how long it may still be silent."""

    mark: str
    keeper: str
    job_id: JobId
    project_id: ProjectId
    left_s: float = 0.0
    lapsed: bool = False


def secret_name(keeper: str, part: str) -> SecretName:
    """Return the name of a secret that a keeper brings; it is forgotten with the keeper."""
    return SecretName(f"ledger:{_PREFIX}{keeper}-{part}")


async def enter(ledger: Ledger, conn: AsyncConnection, wish: Keeper, *, ttl_s: float) -> Keeper:
    """Insert a keeper unless an equal run is there already; return the row that is there, locked."""
    while True:
        values = _values(wish) | {"mark": wish.mark, "expires_at": now_of(conn) + ttl_s, "lapsed": False}
        await conn.execute(ledger.insert(keepers).values(values).on_conflict_do_nothing())
        found = await _locked(conn, keepers.c.mark == wish.mark)
        if found is not None:  # else it was removed in between
            return found


async def replace(conn: AsyncConnection, wish: Keeper, *, ttl_s: float) -> None:
    """Put a keeper in the place of the one with its mark."""
    values = _values(wish) | {"expires_at": now_of(conn) + ttl_s, "lapsed": False}
    await conn.execute(sa.update(keepers).where(keepers.c.mark == wish.mark).values(values))


async def find(conn: AsyncConnection, job_id: JobId, keeper: str) -> Keeper | None:
    """Return the row of a keeper of this job, locked; None where another one has taken its place."""
    return await _locked(conn, keepers.c.job_id == job_id, keepers.c.keeper == keeper)


async def renew(conn: AsyncConnection, keeper: Keeper, *, ttl_s: float) -> None:
    """Let a keeper be silent for `ttl_s` from now on."""
    values = {"expires_at": now_of(conn) + ttl_s, "lapsed": False}
    await conn.execute(sa.update(keepers).where(keepers.c.mark == keeper.mark).values(values))


async def lapse(conn: AsyncConnection, keeper: Keeper) -> None:
    """Note that a keeper is gone; it may come back."""
    await conn.execute(sa.update(keepers).where(keepers.c.mark == keeper.mark).values(lapsed=True))


async def leave(conn: AsyncConnection, keeper: Keeper) -> None:
    """Note that a keeper has left for good, and forget the secrets that it brought."""
    await forget_secrets(conn, keeper)
    statement = sa.update(keepers).where(keepers.c.mark == keeper.mark)
    await conn.execute(statement.values(keeper="", lapsed=True, expires_at=now_of(conn)))


async def remove(conn: AsyncConnection, keeper: Keeper) -> None:
    """Forget a keeper and the secrets that it brought."""
    same = sa.and_(keepers.c.mark == keeper.mark, keepers.c.keeper == keeper.keeper)
    await conn.execute(sa.delete(keepers).where(same))  # first: others lock its row before its secrets too
    await forget_secrets(conn, keeper)


async def forget_secrets(conn: AsyncConnection, keeper: Keeper) -> None:
    """Forget the secrets that a keeper brought."""
    its_own = secrets.c.name.startswith(f"{_PREFIX}{keeper.keeper}-", autoescape=True)
    await conn.execute(sa.delete(secrets).where(its_own, secrets.c.project_id == keeper.project_id))


async def silent(conn: AsyncConnection, carrier: str) -> list[Keeper]:
    """Return the keepers of a carrier's unfinished jobs that have been silent for too long."""
    return await _all(
        conn,
        _of_job(carrier, jobs.c.state.not_in(ENDED_JOB_STATES)),
        ~keepers.c.lapsed,
        keepers.c.expires_at < now_of(conn),
    )


async def past(conn: AsyncConnection, carrier: str, *, after_s: float) -> list[Keeper]:
    """Return the keepers that are needed no more: their job has ended, or never came and they are silent."""
    its_claims = sa.exists().where(claims.c.job_id == keepers.c.job_id)
    ended = await _all(conn, _of_job(carrier, jobs.c.state.in_(ENDED_JOB_STATES)), ~its_claims)
    its_job = sa.exists().where(jobs.c.job_id == keepers.c.job_id)
    return ended + await _all(conn, ~its_job, keepers.c.expires_at < now_of(conn) - after_s)


async def forget_old_secrets(conn: AsyncConnection, *, after_s: float) -> int:
    """Forget what keepers brought that are gone for so long, or never kept a job; return how many."""
    old = now_of(conn) - after_s
    name = sa.func.substr(secrets.c.name, len(_PREFIX) + 1, 32)
    present = sa.exists().where(keepers.c.keeper == name, keepers.c.expires_at > old)
    mine = secrets.c.name.startswith(_PREFIX, autoescape=True)
    gone = await conn.execute(sa.delete(secrets).where(mine, secrets.c.created_at < old, ~present))
    return gone.rowcount


def _query(conn: AsyncConnection) -> sa.Select[str, str, JobId, ProjectId, float, bool]:
    names = ("mark", "keeper", "job_id", "project_id")
    left = keepers.c.expires_at - now_of(conn)
    return sa.select(*(keepers.c[name] for name in names), left, keepers.c.lapsed)


def _of_job(carrier: str, where: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(jobs.c.job_id == keepers.c.job_id, jobs.c.carrier == carrier, where)


async def _locked(conn: AsyncConnection, *where: sa.ColumnElement[bool]) -> Keeper | None:
    row = (await conn.execute(_query(conn).where(*where).with_for_update())).first()
    return None if row is None else Keeper(*row)


async def _all(conn: AsyncConnection, *where: sa.ColumnElement[bool]) -> list[Keeper]:
    return [Keeper(*row) for row in await conn.execute(_query(conn).where(*where))]


def _values(wish: Keeper) -> dict[str, object]:
    return {"keeper": wish.keeper, "job_id": wish.job_id, "project_id": wish.project_id}
