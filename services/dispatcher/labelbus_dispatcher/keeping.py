"""Jobs that run only while somebody outside keeps them: a block in Edge Impulse, whose key dies with it.

A keeper says every few seconds that it is there. When it has been silent for too long, its job pauses; an
equal run takes the job over, with its own keys and its own job in Studio.
"""

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from labelbus_contracts.ids import JobId
from labelbus_contracts.v1.commands import CancelJob, SubmitJob
from labelbus_contracts.v1.message import Message, message_id
from labelbus_ledger import job_rows, job_samples, keepers, spending
from labelbus_ledger.engine import Ledger
from labelbus_ledger.job_rows import JobHead
from labelbus_ledger.keepers import Keeper
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_dispatcher import announce
from labelbus_dispatcher.commands import run_again
from labelbus_dispatcher.handler import Clock
from labelbus_dispatcher.selection import Publish

GONE: Final = "The block that submitted it is gone. Run it again, with equal arguments, to resume."
_NEVER_CAME_S: Final = 3600.0
_SECRETS_KEPT_S: Final = 24 * 3600.0
_SWEEP_EVERY_S: Final = 600.0


class Kept(Exception):
    """An equal run keeps the job now. `left_s` is how long it may be silent before it is taken for gone."""

    def __init__(self, job_id: JobId, left_s: float) -> None:
        super().__init__(job_id, left_s)
        self.job_id = job_id
        self.left_s = left_s


@dataclass(frozen=True, slots=True)
class Begun:
    """The job that a keeper keeps from now on; `went_on` tells whether an equal run had begun it."""

    job_id: JobId
    went_on: bool


class Keeping:
    """Lets keepers begin, stay and leave, and pauses the jobs of those that are gone."""

    def __init__(
        self, ledger: Ledger, publish: Publish, *, carrier_id: str, keeper_s: float, clock: Clock = time.time
    ) -> None:
        self.keeper_s = keeper_s
        self._ledger = ledger
        self._publish = publish
        self._carrier_id = carrier_id
        self._clock = clock
        self._looked_at = self._pauses_from = self._sweeps_from = -math.inf

    async def begin(self, keeper: str, submit: SubmitJob, mark: str) -> Begun:
        """Submit a job, or take over the unfinished one of an equal run. The same call again is as good.

        `mark` is alike for equal runs. Raises `Kept`, `Unavailable`.
        """
        messages: Sequence[Message] = ()
        ours = Keeper(_digest(self._carrier_id, submit, mark), keeper, submit.job_id, submit.project_id)
        async with self._ledger.write() as conn:
            there = await keepers.enter(self._ledger, conn, ours, ttl_s=self.keeper_s)
            head = await job_rows.job_head(conn, there.job_id, lock=True)
            if there.keeper == keeper:
                if not there.lapsed:  # else `stay` finds that the job is to go on
                    await keepers.renew(conn, there, ttl_s=self.keeper_s)
                if head is None:
                    messages = (_of_job(submit, there.job_id),)
                begun = Begun(there.job_id, went_on=head is not None and head.run > 1)
            else:
                begun, messages = await self._replace(conn, there, ours, head, submit)
        await self._publish(messages)
        return begun

    async def stay(self, keeper: str, job_id: JobId) -> bool:
        """Note that a keeper is there; False where another run has taken its place, or its job has ended.

        A job that was paused because of its silence goes on. Raises `Unavailable`.
        """
        async with self._ledger.write() as conn:
            there = await keepers.find(conn, job_id, keeper)
            if there is None:
                return False
            if there.lapsed:
                await self._go_on(conn, job_id)
            await keepers.renew(conn, there, ttl_s=self.keeper_s)
        return True

    async def leave(self, keeper: str, job_id: JobId) -> None:
        """Pause the job of a keeper that ends, and forget its secrets. Raises `Unavailable`."""
        async with self._ledger.write() as conn:
            there = await keepers.find(conn, job_id, keeper)
            if there is None:
                return
            await keepers.leave(conn, there)
            await self._pause(conn, job_id)

    async def look_after(self) -> None:
        """Pause the jobs of keepers that are gone, forget those whose jobs have ended. Raises `Unavailable`.

        Call it often: after a gap every keeper gets its time anew, for it may have found nobody to tell.
        """
        now = time.monotonic()
        if now - self._looked_at > self.keeper_s / 2:
            self._pauses_from, self._sweeps_from = now + self.keeper_s, now + _SWEEP_EVERY_S
        self._looked_at = now
        async with self._ledger.read() as conn:
            silent = await keepers.silent(conn, self._carrier_id) if now >= self._pauses_from else []
            past = await keepers.past(conn, self._carrier_id, after_s=_NEVER_CAME_S)
        for one in past:
            async with self._ledger.write() as conn:
                await keepers.remove(conn, one)
        for one in silent:
            await self._lapse(one)
        if now >= self._sweeps_from:
            self._sweeps_from = now + _SWEEP_EVERY_S
            async with self._ledger.write() as conn:
                await keepers.forget_old_secrets(conn, after_s=_SECRETS_KEPT_S)

    async def _replace(
        self, conn: AsyncConnection, there: Keeper, ours: Keeper, head: JobHead | None, submit: SubmitJob
    ) -> tuple[Begun, Sequence[Message]]:
        goes_on = head is not None and not head.has_ended and head.desired_state != "cancel"
        if (goes_on or head is None) and not there.lapsed and there.left_s > 0:
            raise Kept(there.job_id, there.left_s)
        await keepers.forget_secrets(conn, there)
        if goes_on and head is not None:
            await keepers.replace(conn, replace(ours, job_id=there.job_id), ttl_s=self.keeper_s)
            await self._take_over(conn, head, submit)
            return Begun(there.job_id, went_on=True), ()
        await keepers.replace(conn, ours, ttl_s=self.keeper_s)
        begun = Begun(submit.job_id, went_on=False)
        return begun, (submit,) if head is not None else (_cancel(there.job_id), submit)

    async def _take_over(self, conn: AsyncConnection, head: JobHead, submit: SubmitJob) -> None:
        """Give a job new keys and another job of Studio, as a new run: what flies is of the old one."""
        known = await job_rows.submit_of(conn, head.job_id)
        if known is None:
            return
        what = {name: getattr(submit, name) for name in ("secret", "action", "studio_job_id")}
        head = await job_rows.change_submit(conn, head, known.model_copy(update=what))
        await job_samples.take_back(conn, head.job_id)
        if submit.mode == "preview" and submit.studio_job_id != known.studio_job_id:
            await job_samples.stage_again(conn, head.job_id, steps=len(submit.action.places))
        if submit.cap_usd is not None:
            await spending.set_cap(self._ledger, conn, head.job_id, submit.cap_usd)
        await run_again(conn, head, run=head.run, now=self._clock())

    async def _go_on(self, conn: AsyncConnection, job_id: JobId) -> None:
        head = await job_rows.job_head(conn, job_id, lock=True)
        if head is not None and head.state == "paused" and head.reason == GONE:
            await run_again(conn, head, run=head.run, now=self._clock())

    async def _lapse(self, keeper: Keeper) -> None:
        async with self._ledger.write() as conn:
            there = await keepers.find(conn, keeper.job_id, keeper.keeper)
            if there is None or there.lapsed or there.left_s > 0:
                return
            await keepers.lapse(conn, there)
            await self._pause(conn, there.job_id)

    async def _pause(self, conn: AsyncConnection, job_id: JobId) -> None:
        head = await job_rows.job_head(conn, job_id, lock=True)
        if head is None or not head.runs:
            return
        head = await job_rows.change_job(
            conn, head, state="paused", desired_state="pause", reason=GONE, changed_at=self._clock()
        )
        await self._publish([announce.paused(head)])


def _digest(carrier_id: str, submit: SubmitJob, mark: str) -> str:
    what = f"{carrier_id}\n{submit.project_id}\n{submit.mode}\n{mark}"
    return hashlib.sha256(what.encode()).hexdigest()


def _of_job(submit: SubmitJob, job_id: JobId) -> SubmitJob:
    return submit.model_copy(update={"id": message_id("submit_job", job_id), "job_id": job_id})


def _cancel(job_id: JobId) -> CancelJob:
    """End a job whose command may still be on its way."""
    return CancelJob(id=message_id("cancel_job", job_id), job_id=job_id, reason=GONE)
