"""Handle events about samples: rows of a batch change in one transaction, then messages follow from them."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeAlias

from labelbus_contracts.ids import JobId, SampleId
from labelbus_contracts.v1 import events
from labelbus_contracts.v1.message import Message
from labelbus_ledger import job_rows, job_samples, sample_rows
from labelbus_ledger.engine import Ledger
from labelbus_ledger.job_rows import JobHead
from labelbus_ledger.sample_rows import SampleRow
from labelbus_runtime.batching import Batcher
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_dispatcher import announce
from labelbus_dispatcher.decide import Decision, Job, Limits, decide
from labelbus_dispatcher.recipes import Recipes

Clock: TypeAlias = Callable[[], float]
Answer: TypeAlias = Sequence[Message]


class SampleEvents:
    """The handler of the events about samples, and of the committer's answer to `FinishJob`.

    `wake` is called when rows changed, so that the refill need not wait for its turn.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        limits: Limits,
        recipes: Recipes,
        wake: Callable[[], None],
        batch: int = 256,
        clock: Clock = time.time,
    ) -> None:
        self._ledger = ledger
        self._limits = limits
        self._recipes = recipes
        self._wake = wake
        self._clock = clock
        self._batches: Batcher[events.SampleEvent, Answer] = Batcher(self._apply, max_size=batch)

    async def handle(self, message: Message) -> Answer:
        """Apply one event and return what its sample's row, or its job's, implies. Raises `Unavailable`."""
        if isinstance(message, events.SampleEvent):
            return await self._batches(message)
        if isinstance(message, events.JobMetadataSet):
            return await self._metadata_set(message)
        return ()

    async def close(self) -> None:
        """Finish the batches that run."""
        await self._batches.close()

    async def _apply(self, batch: Sequence[events.SampleEvent]) -> list[Answer | Exception]:
        async with self._ledger.write() as conn:
            turn = _Turn(await self._jobs(conn, batch), await sample_rows.lock_rows(conn, _keys(batch)))
            answers: list[Answer | Exception] = [
                turn.take(event, now=self._clock(), limits=self._limits) for event in batch
            ]
            await sample_rows.save_rows(conn, turn.changed())
            await job_rows.add_failures(conn, turn.failures)
            for job_id, found in turn.joining.items():
                await self._join(conn, job_id, found)
            for place, (job_id, reason) in turn.pauses.items():
                head = await pause(conn, turn.jobs[job_id].head, reason, now=self._clock())
                answers[place] = (announce.paused(head),) if head.state == "paused" else ()
        self._wake()
        return answers

    async def _join(self, conn: AsyncConnection, job_id: JobId, found: Sequence[events.VideoSplit]) -> None:
        """Let the frames of split videos join their job, unless that has ended; known ones are there.

        They join with the first event about their video, which ends its row: others may never arrive.
        """
        head = await job_rows.job_head(conn, job_id, lock=True)
        if head is None or head.has_ended or head.desired_state == "cancel":
            return
        written = await sample_rows.frames_of(conn, head.project_id, {event.sample_id for event in found})
        frames = [*(frame for event in found for frame in event.frames), *written]
        added = await job_samples.insert_samples(self._ledger, conn, head, frames)
        state = "running" if added and head.state == "finishing" else head.state
        await job_rows.change_job(conn, head, total=head.total + added, state=state)

    async def _jobs(self, conn: AsyncConnection, batch: Sequence[events.SampleEvent]) -> dict[JobId, Job]:
        heads = await job_rows.job_heads(conn, {event.job_id for event in batch})
        heads |= await job_rows.lock_jobs(conn, {e.job_id for e in batch if _may_change_its_job(e)})
        found = {job_id: await self._recipes.job(conn, head) for job_id, head in heads.items()}
        return {job_id: job for job_id, job in found.items() if job is not None}

    async def _metadata_set(self, event: events.JobMetadataSet) -> Answer:
        async with self._ledger.write() as conn:
            head = await job_rows.job_head(conn, event.job_id, lock=True)
            if head is None or head.run != event.run:
                return ()
            if head.state in ("finishing", "paused") and head.desired_state != "cancel":
                if await sample_rows.any_in(conn, head.job_id):
                    return ()
                head = await self._end(conn, head, event)
            if not head.has_ended or head.state == "rejected":
                return ()
            return (announce.finished(head, await sample_rows.counts(conn, head.job_id)),)

    async def _end(self, conn: AsyncConnection, head: JobHead, event: events.JobMetadataSet) -> JobHead:
        failed = await sample_rows.any_in(conn, head.job_id, ("failed",))
        now = self._clock()
        reason = ""
        if event.failed:
            reason = f"{event.failed} samples did not get their metadata: {event.reason}"
        state = "finished_with_failures" if failed or event.failed else "finished"
        return await job_rows.change_job(
            conn, head, state=state, desired_state="run", reason=reason, changed_at=now, ended_at=now
        )


class _Turn:
    """The rows and jobs of one batch while its events are applied, one after another."""

    def __init__(self, jobs: dict[JobId, Job], rows: dict[tuple[JobId, SampleId], SampleRow]) -> None:
        self.jobs = jobs
        self.failures: Counter[JobId] = Counter()
        self.pauses: dict[int, tuple[JobId, str]] = {}
        self.joining: dict[JobId, list[events.VideoSplit]] = {}
        self._before = rows
        self._rows = dict(rows)
        self._place = -1

    def take(self, event: events.SampleEvent, *, now: float, limits: Limits) -> Answer:
        """Apply one event; one about what the ledger does not know is nobody's."""
        self._place += 1
        job, row = self.jobs.get(event.job_id), self._rows.get((event.job_id, event.sample_id))
        if job is None or row is None:
            return ()
        if isinstance(event, events.VideoSplit):
            self.joining.setdefault(event.job_id, []).append(event)
        made = decide(row, job, event, now=now, limits=limits)
        self._rows[row.key] = made.row
        self._note(made, row, job)
        return made.messages

    def changed(self) -> list[SampleRow]:
        """Return the rows that are not as they were read."""
        return [row for key, row in self._rows.items() if row is not self._before[key]]

    def _note(self, made: Decision, before: SampleRow, job: Job) -> None:
        if made.row.state == "failed" != before.state:
            self.failures[job.head.job_id] += 1
        if made.pause is not None and all(made_of != job.head.job_id for made_of, _ in self.pauses.values()):
            self.pauses[self._place] = (job.head.job_id, made.pause)


async def pause(conn: AsyncConnection, head: JobHead, reason: str, *, now: float) -> JobHead:
    """Pause a job that may run; answer its row as it is now."""
    if not head.runs:
        return head
    return await job_rows.change_job(
        conn,
        head,
        state="paused",
        desired_state="pause",
        reason=with_way_on(reason, head.job_id),
        changed_at=now,
    )


def with_way_on(reason: str, job_id: JobId) -> str:
    """Return the reason with the command that goes on; one that names it, or says when to, stays so."""
    command = f"`labelbus jobs resume {job_id}`"
    if "labelbus jobs resume" in reason:
        return reason
    if "resume the job" in reason:
        return reason.replace("resume the job", f"run {command}")
    return f"{reason} Mend it, then run {command}."


def _may_change_its_job(event: events.SampleEvent) -> bool:
    """Tell whether an event may count a failure, pause its job or bring samples; see `_Turn`."""
    stops = isinstance(event, events.WriteDeferred) and event.scope == "job"
    return stops or isinstance(event, events.SampleFailed | events.WriteRefused | events.VideoSplit)


def _keys(batch: Sequence[events.SampleEvent]) -> dict[JobId, set[SampleId]]:
    keys: dict[JobId, set[SampleId]] = {}
    for event in batch:
        keys.setdefault(event.job_id, set()).add(event.sample_id)
    return keys
