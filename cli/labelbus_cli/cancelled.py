"""Bring cancelled jobs to their end whose process is gone, writes that it had begun included."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from labelbus_committer.service import Committer
from labelbus_committer.settings import CommitterSettings
from labelbus_contracts.ids import JobId
from labelbus_contracts.v1.message import Message
from labelbus_dispatcher.recipes import Recipes
from labelbus_dispatcher.settings import DispatcherSettings
from labelbus_dispatcher.watch import Watch
from labelbus_ledger import job_rows
from labelbus_ledger.access import StudioAccess
from labelbus_ledger.engine import Ledger
from labelbus_ledger.job_states import JobStates
from labelbus_ledger.tables import jobs
from labelbus_runtime.settings import load

from labelbus_cli.ownership import LATE_S, lapse_claims, owner_of

_LONG_AFTER_S: Final = 3600.0


async def settle_cancelled(ledger: Ledger, access: StudioAccess) -> None:
    """Finish or forget what cancelled jobs of dead processes were writing, and end the jobs.

    A job whose claims are not known to be a dead process's waits for a later call. Raises `Unavailable`.
    """
    abandoned = await _abandoned(ledger)
    if not abandoned:
        return
    lapsed = [await lapse_claims(ledger, carrier) for _, carrier in abandoned]
    if any(lapsed):
        await asyncio.sleep(LATE_S + 0.1)
    settings = load(CommitterSettings)
    committer = Committer(ledger, access=access, job_states=JobStates(ledger), settings=settings)
    try:
        await committer.sweep()
    finally:
        await committer.stop()
    for job_id, _ in abandoned:
        await complete_cancel(ledger, job_id)


async def complete_cancel(ledger: Ledger, job_id: JobId) -> None:
    """Do what the dispatcher of a process that is gone would do; nobody waits for its answers."""
    settings = load(DispatcherSettings)
    watch = Watch(
        ledger,
        _forget,
        recipes=Recipes(),
        limits=settings.limits,
        finish_again_s=settings.finish_again_s,
        answers=lambda _: False,
        clock=lambda: time.time() + _LONG_AFTER_S,
    )
    async with ledger.read() as connection:
        head = await job_rows.job_head(connection, job_id)
    if head is not None:
        await watch.close([head])


async def _abandoned(ledger: Ledger) -> list[tuple[JobId, str]]:
    """Return cancelled jobs that have not ended, with the carriers of processes that are gone."""
    query = sa.select(jobs.c.job_id, jobs.c.carrier).where(
        job_rows.open_embedded(), jobs.c.desired_state == "cancel"
    )
    found: list[tuple[JobId, str]] = []
    async with ledger.read() as connection:
        for row in (await connection.execute(query)).all():
            owner = await owner_of(connection, row.carrier)
            if owner is None or not owner.may_live:
                found.append((JobId(row.job_id), row.carrier))
    return found


async def _forget(messages: Sequence[Message]) -> None:
    return None
