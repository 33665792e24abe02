"""Look after jobs: rows that nobody answered, too many failures, the end, and a cancel that may complete."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from labelbus_contracts.ids import JobId, SampleId
from labelbus_contracts.jobs import FailureLimit
from labelbus_ledger import job_rows, job_samples, sample_rows
from labelbus_ledger.engine import Ledger
from labelbus_ledger.job_rows import JobHead
from labelbus_ledger.sample_rows import SampleRow
from labelbus_ledger.tables import ENDED_STATES
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_dispatcher import announce
from labelbus_dispatcher.decide import Limits, overdue
from labelbus_dispatcher.handler import Clock, pause
from labelbus_dispatcher.recipes import Recipes
from labelbus_dispatcher.selection import Publish

_WRITES_ANSWERED_S = 10.0


class Watch:
    """What the holder of the refill lease does besides refilling. Every method raises `Unavailable`."""

    def __init__(
        self,
        ledger: Ledger,
        publish: Publish,
        *,
        recipes: Recipes,
        limits: Limits,
        finish_again_s: float,
        answers: Callable[[str | None], bool],
        clock: Clock = time.time,
    ) -> None:
        self._ledger = ledger
        self._publish = publish
        self._recipes = recipes
        self._limits = limits
        self._finish_again_s = finish_again_s
        self._answers = answers
        self._clock = clock

    async def retry_overdue(self, heads: Collection[JobHead]) -> None:
        """Take back rows past their deadline; they count as tried only where somebody could answer."""
        ids = [head.job_id for head in heads]
        now = self._clock()
        async with self._ledger.read() as conn:
            keys = await sample_rows.overdue(conn, ids, now=now)
        if not keys:
            return
        wanted: dict[JobId, list[SampleId]] = {}
        for job_id, sample_id in keys:
            wanted.setdefault(job_id, []).append(sample_id)
        async with self._ledger.write() as conn:
            await job_rows.lock_jobs(conn, wanted)
            rows = await sample_rows.lock_rows(conn, wanted)
            changed = [self._overdue(row, now) for row in rows.values() if row.state not in ENDED_STATES]
            await sample_rows.save_rows(conn, changed)
            failed = Counter(row.job_id for row in changed if row.state == "failed")
            await job_rows.add_failures(conn, failed)

    async def pause_failing(self, head: JobHead) -> None:
        """Pause a job once too many of its samples failed."""
        if not head.runs or not head.failures:
            return
        async with self._ledger.read() as conn:
            job = await self._recipes.job(conn, head)
            if job is None or not await _fails(conn, head, job.submit.failure_limit):
                return
        async with self._ledger.write() as conn:
            now = await job_rows.job_head(conn, head.job_id, lock=True)
            if now is None or not now.runs or not await _fails(conn, now, job.submit.failure_limit):
                return
            counts = await sample_rows.counts(conn, head.job_id)
            ended = sum(counts.get(state, 0) for state in ENDED_STATES)
            reason = f"{now.failures} of {ended} samples failed, the limit of this job."
            now = await pause(conn, now, reason, now=self._clock())
            await self._publish([announce.paused(now)])

    async def close(self, heads: Sequence[JobHead]) -> None:
        """Bring jobs to their end that have no open samples, or whose cancelling is complete."""
        for head in heads:
            if head.state == "cancelling":
                await self._cancel(head)
            elif head.runs and head.state in ("running", "finishing") and head.selected:
                await self._finish(head)

    def _overdue(self, row: SampleRow, now: float) -> SampleRow:
        return overdue(row, counts=self._answers(row.labeler), now=now, limits=self._limits)

    async def _finish(self, head: JobHead) -> None:
        now = self._clock()
        if head.finish_sent_at is not None and now - head.finish_sent_at < self._finish_again_s:
            return
        async with self._ledger.read() as conn:
            if await sample_rows.any_in(conn, head.job_id):
                return
        async with self._ledger.write() as conn:
            locked = await job_rows.job_head(conn, head.job_id, lock=True)
            if locked is None or not locked.runs or locked.run != head.run:
                return
            locked = await job_rows.change_job(
                conn, locked, state="finishing", finish_sent_at=now, changed_at=now
            )
            job = await self._recipes.job(conn, locked)
        if job is not None:
            await self._publish([announce.finish(job)])

    async def _cancel(self, head: JobHead) -> None:
        async with self._ledger.write() as conn:
            locked = await job_rows.job_head(conn, head.job_id, lock=True)
            if locked is None or locked.state != "cancelling" or await self._is_writing(conn, locked):
                return
            await job_samples.take_back(conn, head.job_id)
            now = self._clock()
            locked = await job_rows.change_job(
                conn, locked, state="cancelled", selected=True, changed_at=now, ended_at=now
            )
            await self._publish([announce.finished(locked, await sample_rows.counts(conn, head.job_id))])

    async def _is_writing(self, conn: AsyncConnection, head: JobHead) -> bool:
        """Tell whether a write is under way, or may have been: its answer gets a moment to arrive."""
        if await sample_rows.any_claim(conn, head.job_id):
            return True
        waited = self._clock() - head.changed_at >= _WRITES_ANSWERED_S
        return not waited and await sample_rows.any_in(conn, head.job_id, ("writing",))


async def _fails(conn: AsyncConnection, head: JobHead, limit: FailureLimit) -> bool:
    """Tell whether too many of a job's samples failed, without counting the whole job."""
    if head.failures < limit.count:
        return False
    if not limit.share:
        return True
    return not await sample_rows.has_more_ended(conn, head.job_id, int(head.failures / limit.share))
