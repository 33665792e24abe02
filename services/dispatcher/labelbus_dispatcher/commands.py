"""Handle commands about jobs: submit, add samples, pause, resume, cancel. Each is one transaction."""

import time
from collections.abc import Callable, Mapping

from labelbus_contracts.ids import JobId
from labelbus_contracts.v1 import commands
from labelbus_contracts.v1.message import Message
from labelbus_labeling.labeler import Registration
from labelbus_ledger import job_rows, job_samples, sample_rows, spending
from labelbus_ledger.engine import Ledger
from labelbus_ledger.instances import capacities
from labelbus_ledger.job_rows import JobHead
from labelbus_runtime.errors import InvalidMessage
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_dispatcher import announce
from labelbus_dispatcher.checks import NO_IDS, complaint
from labelbus_dispatcher.handler import Answer, Clock


class JobCommands:
    """The handler of the commands about jobs. One at a time per process: their order matters."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        carrier_id: str,
        labelers: Mapping[str, Registration],
        wake: Callable[[], None],
        clock: Clock = time.time,
    ) -> None:
        self._ledger = ledger
        self._carrier_id = carrier_id
        self._labelers = labelers
        self._wake = wake
        self._clock = clock

    async def handle(self, message: Message) -> Answer:
        """Follow one command. Raises `Unavailable`."""
        async with self._ledger.write() as conn:
            answer = await self._follow(conn, message)
        self._wake()
        return answer

    async def _follow(self, conn: AsyncConnection, message: Message) -> Answer:
        match message:
            case commands.SubmitJob():
                return await self._submit(conn, message)
            case commands.CancelJob():
                return await self._cancel(conn, message)
            case commands.AddSamples() | commands.PauseJob() | commands.ResumeJob():
                head = await job_rows.job_head(conn, message.job_id, lock=True)
                if head is None:
                    return (announce.refused(message, f"There is no job {message.job_id}. Submit it first."),)
                return await self._change(conn, head, message)
            case _:
                raise InvalidMessage(f"The dispatcher does not know the command {message.kind}.")

    async def _change(
        self,
        conn: AsyncConnection,
        head: JobHead,
        message: commands.AddSamples | commands.PauseJob | commands.ResumeJob,
    ) -> Answer:
        match message:
            case commands.AddSamples():
                return await self._add(conn, head, message)
            case commands.PauseJob():
                return await self._pause(conn, head, message)
            case commands.ResumeJob():
                return await self._resume(conn, head, message)

    async def _submit(self, conn: AsyncConnection, submit: commands.SubmitJob) -> Answer:
        now = self._clock()
        inserted = await job_rows.insert_job(
            self._ledger, conn, submit, carrier=self._carrier_id, state="selecting", now=now
        )
        head = await job_rows.job_head(conn, submit.job_id, lock=True)
        if head is None:
            raise InvalidMessage(f"Job {submit.job_id} vanished while it was submitted.")
        if not inserted:
            await job_rows.fill_tombstone(conn, submit)
            return await self._implied(conn, submit.job_id)
        if (reason := await self._complaint(conn, submit)) is not None:
            return (announce.rejected(await reject(conn, head, reason, now=now)),)
        await spending.set_cap(self._ledger, conn, submit.job_id, submit.cap_usd)
        if submit.selection.ids is not None and submit.selection.sample is None:
            await self._append(conn, head, submit.selection.ids, last=not submit.selection.more_follow)
        return ()

    async def _implied(self, conn: AsyncConnection, job_id: JobId) -> Answer:
        head = await job_rows.job_head(conn, job_id)
        return () if head is None else announce.implied(head, await sample_rows.counts(conn, job_id))

    async def _complaint(self, conn: AsyncConnection, submit: commands.SubmitJob) -> str | None:
        running = await capacities(conn, self._carrier_id)
        if (reason := complaint(submit, self._labelers, running)) is not None:
            return reason
        if submit.source_job_id is None:
            return None
        source = await job_rows.job_head(conn, submit.source_job_id)
        if source is None or source.project_id != submit.project_id:
            return (
                f"Project {submit.project_id} has no job {submit.source_job_id} whose proposals could be "
                "applied. Name one of its previews."
            )
        return None

    async def _append(
        self, conn: AsyncConnection, head: JobHead, ids: tuple[int, ...], *, last: bool
    ) -> None:
        added = await job_samples.insert_samples(self._ledger, conn, head, ids)
        await job_rows.change_job(conn, head, total=head.total + added, selected=last)

    async def _add(self, conn: AsyncConnection, head: JobHead, message: commands.AddSamples) -> Answer:
        if head.selected or head.has_ended:
            if head.state == "cancelled":
                return ()
            known = set(message.ids) <= await job_samples.known_ids(conn, head.job_id, message.ids)
            reason = f"Job {head.job_id} takes no further samples. Submit another job for them."
            return () if known else (announce.refused(message, reason),)
        await self._append(conn, head, message.ids, last=message.last)
        if message.last and not await sample_rows.any_in(conn, head.job_id):
            return (announce.rejected(await reject(conn, head, NO_IDS, now=self._clock())),)
        return ()

    async def _cancel(self, conn: AsyncConnection, message: commands.CancelJob) -> Answer:
        head = await job_rows.job_head(conn, message.job_id, lock=True)
        now = self._clock()
        if head is None:
            await job_rows.insert_tombstone(
                self._ledger, conn, message.job_id, carrier=self._carrier_id, reason=message.reason, now=now
            )
            return ()
        if head.has_ended:
            return await self._implied(conn, head.job_id)
        if head.desired_state != "cancel":
            await job_rows.change_job(
                conn,
                head,
                state="cancelling",
                desired_state="cancel",
                reason=message.reason,
                changed_at=now,
            )
        return ()

    async def _pause(self, conn: AsyncConnection, head: JobHead, message: commands.PauseJob) -> Answer:
        if head.runs:
            reason = (
                message.reason or f"Paused on request. Run `labelbus jobs resume {head.job_id}` to go on."
            )
            head = await job_rows.change_job(
                conn, head, state="paused", desired_state="pause", reason=reason, changed_at=self._clock()
            )
        return (announce.paused(head),) if head.state == "paused" else ()

    async def _resume(self, conn: AsyncConnection, head: JobHead, message: commands.ResumeJob) -> Answer:
        if head.desired_state == "cancel" or head.state in ("cancelled", "rejected"):
            reason = f"Job {head.job_id} is {head.state} and cannot be resumed. Submit another one."
            return (announce.refused(message, reason),)
        if message.budget_usd is not None:
            await spending.set_cap(self._ledger, conn, head.job_id, message.budget_usd)
        again = message.retry_failed and await sample_rows.any_in(conn, head.job_id, ("failed",))
        if not again and (head.runs or head.has_ended):
            return ()
        return await self._reopen(conn, head, again=again)

    async def _reopen(self, conn: AsyncConnection, head: JobHead, *, again: bool) -> Answer:
        if again:
            submit = await job_rows.submit_of(conn, head.job_id)
            if submit is None:
                return ()
            await job_samples.take_back(conn, head.job_id)
            await job_samples.reopen_failed(
                conn, head.job_id, source=submit.source_job_id, steps=len(submit.action.places)
            )
        await run_again(conn, head, run=head.run + again, now=self._clock())
        return ()


async def run_again(conn: AsyncConnection, head: JobHead, *, run: int, now: float) -> JobHead:
    """Let a job go on that was paused or has ended."""
    return await job_rows.change_job(
        conn,
        head,
        state="running" if head.selected and head.cursor is not None else "selecting",
        desired_state="run",
        reason="",
        failures=0,
        run=run,
        changed_at=now,
        ended_at=None,
        finish_sent_at=None,
    )


async def reject(conn: AsyncConnection, head: JobHead, reason: str, *, now: float) -> JobHead:
    """End a job that cannot start."""
    return await job_rows.change_job(
        conn, head, state="rejected", reason=reason, selected=True, changed_at=now, ended_at=now
    )
