"""Keep a bounded number of samples in flight per labeler, shared fairly between jobs.

Publishes, awaits the acknowledgement, then marks: a crash repeats a chunk and loses none. All counts come
from rows.
"""

import asyncio
import heapq
import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from labelbus_contracts.ids import JobId, SampleId
from labelbus_contracts.labels import Base
from labelbus_contracts.v1.message import Message
from labelbus_ledger import job_rows, sample_rows
from labelbus_ledger.engine import Ledger
from labelbus_ledger.instances import capacities
from labelbus_ledger.job_rows import JobHead
from labelbus_ledger.sample_rows import COMMITTER, SampleRow
from labelbus_runtime.errors import InvalidMessage, LabelbusError, Unavailable
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_dispatcher.decide import Job, advance, next_step, outgoing, too_large
from labelbus_dispatcher.handler import Clock
from labelbus_dispatcher.recipes import Recipes
from labelbus_dispatcher.selection import Publish
from labelbus_dispatcher.settings import DispatcherSettings
from labelbus_dispatcher.studio import Reader

log = logging.getLogger(__name__)
CHUNK: Final = 100
_CAPACITY_S: Final = 2.0
_CHUNKS_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn did: how many samples it sent, and the jobs that had nothing to send or in flight."""

    sent: int = 0
    idle: tuple[JobHead, ...] = ()


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Rows of one job for one recipient."""

    job: Job
    recipient: str
    rows: list[SampleRow] = field(default_factory=list)


class Refill:
    """Fills the windows, one turn after another. Only the holder of the lease turns."""

    def __init__(
        self,
        ledger: Ledger,
        reader: Reader,
        publish: Publish,
        *,
        carrier_id: str,
        recipes: Recipes,
        settings: DispatcherSettings,
        clock: Clock = time.time,
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._publish = publish
        self._carrier_id = carrier_id
        self._recipes = recipes
        self._settings = settings
        self._limits = settings.limits
        self._clock = clock
        self._capacities: dict[str, int] = {}
        self._capacities_at = float("-inf")
        self._slots = asyncio.Semaphore(_CHUNKS_AT_ONCE)

    async def turn(self) -> Turn:
        """Send what the windows let through. Raises `Unavailable`."""
        async with self._ledger.read() as conn:
            heads = await job_rows.open_jobs(conn, self._carrier_id)
            if not heads:
                return Turn()
            await self._ask_capacities(conn)
            ours = {head.job_id for head in heads}
            flights = {
                labeler: {job_id: number for job_id, number in of_jobs.items() if job_id in ours}
                for labeler, of_jobs in (await sample_rows.in_flight(conn)).items()
            }
            jobs = [job for head in heads if _sends(head) and (job := await self._recipes.job(conn, head))]
            chunks = await self._plan(conn, jobs, flights)
        sent = await asyncio.gather(*(self._send_in_turn(chunk) for chunk in chunks))
        busy = {job_id for of_jobs in flights.values() for job_id in of_jobs}
        busy |= {chunk.job.head.job_id for chunk in chunks}
        return Turn(sum(sent), tuple(head for head in heads if head.job_id not in busy))

    def answers(self, labeler: str | None) -> bool:
        """Tell whether some instance was there lately to answer what a recipient was sent."""
        return bool(self._capacities.get(labeler or ""))

    async def _ask_capacities(self, conn: AsyncConnection) -> None:
        if time.monotonic() - self._capacities_at >= _CAPACITY_S:
            self._capacities = await capacities(conn, self._carrier_id)
            self._capacities_at = time.monotonic()

    def _window(self, labeler: str) -> int:
        if labeler == COMMITTER:
            return self._settings.writes_window
        capacity = self._capacities.get(labeler, 0)
        return max(self._settings.window_least, round(self._settings.window_times * capacity))

    async def _plan(
        self, conn: AsyncConnection, jobs: Sequence[Job], flights: Mapping[str, Mapping[JobId, int]]
    ) -> list[_Chunk]:
        writes = sum(flights.get(COMMITTER, {}).values())
        labelers = sorted({place.work.labeler for job in jobs for place in job.submit.action.places})
        chunks: list[_Chunk] = []
        for labeler in (COMMITTER, *labelers):
            if labeler != COMMITTER and writes >= self._settings.writes_window:
                break  # Studio is slower than the labelers: what is labeled would only wait
            flying = flights.get(labeler, {})
            free = self._window(labeler) - sum(flying.values())
            if free > 0:
                chunks += await self._share(conn, labeler, jobs, flying, free)
        return chunks

    async def _share(
        self,
        conn: AsyncConnection,
        labeler: str,
        jobs: Sequence[Job],
        flying: Mapping[JobId, int],
        free: int,
    ) -> list[_Chunk]:
        """Give each free slot to the job least served for its weight."""
        now = self._clock()
        backlogs = [_backlog(conn, job, labeler, now=now, most=min(free, CHUNK)) for job in jobs]
        served = [flying.get(job.head.job_id, 0) for job in jobs]
        chunks: list[_Chunk] = []
        open_chunks: dict[int, _Chunk] = {}
        queue = [(served[place] / job.head.weight, place) for place, job in enumerate(jobs)]
        heapq.heapify(queue)
        while free > 0 and queue:
            _, place = heapq.heappop(queue)
            row = await anext(backlogs[place], None)
            if row is None:
                continue
            chunk = open_chunks.get(place)
            if chunk is None or len(chunk.rows) >= CHUNK:
                chunk = open_chunks[place] = _Chunk(jobs[place], labeler)
                chunks.append(chunk)
            chunk.rows.append(row)
            served[place] += 1
            free -= 1
            heapq.heappush(queue, (served[place] / jobs[place].head.weight, place))
        for backlog in backlogs:
            await backlog.aclose()
        return chunks

    async def _send_in_turn(self, chunk: _Chunk) -> int:
        async with self._slots:
            try:
                return await self._send(chunk)
            except Unavailable as error:
                log.warning("A chunk of job %s waits: %s", chunk.job.head.job_id, error)
                return 0

    async def _send(self, chunk: _Chunk) -> int:
        rows, bases = chunk.rows, await self._bases(chunk)
        if _is_conditional(chunk.job) and any(_is_fresh(row) for row in rows):
            if bases is None:
                return 0
            rows = await self._meet_conditions(chunk, bases)
        sent: list[SampleRow] = []
        messages = [outgoing(row, chunk.job, (bases or {}).get(row.sample_id)) for row in rows]
        try:
            await self._publish(messages)
            sent = rows
        except InvalidMessage:
            for row, message in zip(rows, messages, strict=True):
                if await self._publish_alone(message, row):
                    sent.append(row)
        now, ours = self._clock(), chunk.job.head
        async with self._ledger.write() as conn:
            head = await job_rows.job_head(conn, ours.job_id)
            if head is None or head.run != ours.run:
                return 0  # what was sent is of an earlier run, whose failures are nobody's
            await sample_rows.mark_sent(
                conn,
                [replace(row, labeler=chunk.recipient) for row in sent],
                deadline_at=now + self._limits.deadline_s,
                now=now,
            )
        return len(sent)

    async def _bases(self, chunk: _Chunk) -> Mapping[SampleId, Base] | None:
        """Read the bases of samples sent for the first time; None where Studio cannot be asked now."""
        fresh = [row.sample_id for row in chunk.rows if _is_fresh(row)]
        conditional = _is_conditional(chunk.job)
        if not fresh or not (self._settings.read_bases or conditional):
            return {}
        try:
            async with asyncio.timeout(self._settings.read_bases_s):
                return await self._reader.bases(chunk.job.submit, fresh, dense_only=not conditional)
        except (LabelbusError, TimeoutError) as error:
            log.info("Samples of job %s go without their base: %s", chunk.job.head.job_id, error)
            return None

    async def _meet_conditions(self, chunk: _Chunk, bases: Mapping[SampleId, Base]) -> list[SampleRow]:
        """Store how far a base carries its sample past the first step; return the rows to send now."""
        stay: list[SampleRow] = []
        skip: dict[SampleId, SampleRow] = {}
        for row in chunk.rows:
            base = bases.get(row.sample_id)
            if not _is_fresh(row) or base is None or next_step(chunk.job, base.labels, 0) == 0:
                stay.append(row)
                continue
            row = replace(row, base=base.model_dump_json())
            row = advance(row, chunk.job, base.labels, step=0, now=self._clock(), limits=self._limits)
            skip[row.sample_id] = replace(row, state="pending", labeler=None, deadline_at=None)
        async with self._ledger.write() as conn:
            found = await sample_rows.lock_rows(conn, {chunk.job.head.job_id: skip.keys()})
            unchanged = {row.sample_id for row in chunk.rows if found.get(row.key) == row}
            await sample_rows.save_rows(conn, [row for key, row in skip.items() if key in unchanged])
        return stay

    async def _publish_alone(self, message: Message, row: SampleRow) -> bool:
        try:
            await self._publish([message])
        except InvalidMessage as error:
            async with self._ledger.write() as conn:
                await job_rows.lock_jobs(conn, {row.job_id})
                found = await sample_rows.lock_rows(conn, {row.job_id: [row.sample_id]})
                if found.get(row.key) == row:
                    await sample_rows.save_rows(conn, [too_large(row, str(error), self._clock())])
                    await job_rows.add_failures(conn, {row.job_id: 1})
            return False
        return True


async def _backlog(
    conn: AsyncConnection, job: Job, labeler: str, *, now: float, most: int
) -> AsyncGenerator[SampleRow, None]:
    """Yield due rows of a job for one recipient: later steps first, then by position."""
    places = job.submit.action.places
    steps = [nr for nr, place in enumerate(places) if place.work.labeler == labeler]
    for step in [job.last_step] if labeler == COMMITTER else reversed(steps):
        after = -1
        while True:
            rows = await sample_rows.pending(conn, job.head.job_id, step, after=after, now=now, most=most)
            for row in rows:
                yield row
            if len(rows) < most:
                break
            after = rows[-1].position


def _sends(head: JobHead) -> bool:
    return head.runs and head.state in ("selecting", "running") and head.cursor is not None


def _is_fresh(row: SampleRow) -> bool:
    return row.step == 0 and row.base is None


def _is_conditional(job: Job) -> bool:
    return job.submit.action.places[0].spec.when is not None
