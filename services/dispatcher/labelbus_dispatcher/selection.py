"""Turn a job's selection into rows: page by page, each with its cursor, so that a crash goes on there."""

import heapq
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from hashlib import blake2b

from labelbus_contracts.labels import Base, SampleKind
from labelbus_contracts.v1.commands import SubmitJob
from labelbus_contracts.v1.message import Message
from labelbus_labeling.labeler import Registration
from labelbus_ledger import job_rows, job_samples
from labelbus_ledger.engine import Ledger
from labelbus_ledger.job_rows import JobHead
from labelbus_runtime.errors import LabelbusError, RetryLater
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_dispatcher import announce
from labelbus_dispatcher.checks import NO_IDS, misfit
from labelbus_dispatcher.commands import reject
from labelbus_dispatcher.handler import Clock, pause
from labelbus_dispatcher.studio import Reader

Publish = Callable[[Sequence[Message]], Awaitable[None]]
_LOOKED_AT = 3
CHECKED = "{}"
"""The cursor of a job that may start: its key was let in, its labelers fit the project."""


class Selector:
    """Checks a job against its project and brings its samples."""

    def __init__(
        self,
        ledger: Ledger,
        reader: Reader,
        publish: Publish,
        *,
        labelers: Mapping[str, Registration],
        wake: Callable[[], None],
        clock: Clock = time.time,
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._publish = publish
        self._labelers = labelers
        self._wake = wake
        self._clock = clock

    async def select(self, head: JobHead) -> None:
        """Bring a job from `selecting` to `running`, as far as it goes now. Raises `RetryLater`."""
        async with self._ledger.read() as conn:
            submit = await job_rows.submit_of(conn, head.job_id)
        if submit is None:
            return
        try:
            if head.cursor is None and not await self._check(head, submit):
                return
            await self._bring(head, submit)
        except RetryLater as error:
            if error.scope != "job":
                raise
            await self._stop(head, error.reason)
        self._wake()

    async def _check(self, head: JobHead, submit: SubmitJob) -> bool:
        method = await self._reader.labeling_method(submit)
        reason = misfit(submit, method, self._labelers)
        if reason is None and not await self._reader.has_studio_job(submit):
            reason = (
                f"Project {submit.project_id} has no job {submit.studio_job_id} in Studio. "
                "Name one to show the proposals in: a preview of an AI labeling action."
            )
        if reason is None and submit.selection.ids:
            reason = await self._wrong_kind(submit, submit.selection.ids)
        if reason is not None:
            await self._reject(head, reason)
            return False
        await self._change(head, cursor=CHECKED, started_at=self._clock())
        return True

    async def _wrong_kind(self, submit: SubmitJob, ids: Sequence[int]) -> str | None:
        """Return why none of the first samples suits the job's labelers; None where one does or none is read.

        A single sample of another kind fails alone, later.
        """
        try:
            bases = await self._reader.bases(submit, ids[:_LOOKED_AT], dense_only=False)
        except LabelbusError:
            return None
        reasons = [misfit(submit, "unknown", self._labelers, kind) for kind in _kinds(bases.values())]
        return reasons[0] if reasons and all(reasons) else None

    async def _bring(self, head: JobHead, submit: SubmitJob) -> None:
        selection = submit.selection
        if submit.source_job_id is not None:
            await self._copy(head, submit)
        elif selection.sample is not None:
            await self._bring_part(head, submit, selection.sample)
        elif selection.ids is None:
            await self._bring_pages(head, submit)
        await self._settle(head)

    async def _bring_pages(self, head: JobHead, submit: SubmitJob) -> None:
        cursor = json.loads(head.cursor or CHECKED)
        below, taken, limit = cursor.get("below"), cursor.get("taken", 0), submit.selection.limit
        async for begins, ids in self._reader.pages(submit, below=below):
            if below is None and (reason := await self._wrong_kind(submit, ids)) is not None:
                await self._reject(head, reason)
                return
            ids = ids if limit is None else ids[: limit - taken]
            below, taken = begins, taken + len(ids)
            if not await self._append(head, ids, cursor=json.dumps({"below": begins, "taken": taken})):
                return
            if taken == limit:
                break
        await self._change(head, selected=True)

    async def _bring_part(self, head: JobHead, submit: SubmitJob, size: int) -> None:
        part = Part(size, submit.selection.seed)
        if submit.selection.ids is not None:
            part.offer(dict.fromkeys(submit.selection.ids))
        else:
            async for _, ids in self._reader.pages(submit, below=None):
                part.offer(ids)
        if await self._append(head, part.ids(), cursor=CHECKED):
            await self._change(head, selected=True)

    async def _copy(self, head: JobHead, submit: SubmitJob) -> None:
        assert submit.source_job_id is not None
        after = json.loads(head.cursor or CHECKED).get("after", -1)
        steps = len(submit.action.places)
        while True:
            async with self._ledger.write() as conn:
                now = await self._selecting(conn, head)
                if now is None:
                    return
                added, last = await job_samples.copy_proposals(
                    self._ledger, conn, now, submit.source_job_id, after=after, step=steps
                )
                after = last
                cursor = json.dumps({"after": after})
                await job_rows.change_job(
                    conn, now, total=now.total + added, selected=last is None,
                    cursor=now.cursor if last is None else cursor,
                )  # fmt: skip
            if last is None:
                return
            self._wake()

    async def _append(self, head: JobHead, ids: Sequence[int], *, cursor: str) -> bool:
        async with self._ledger.write() as conn:
            now = await self._selecting(conn, head)
            if now is None:
                return False
            added = await job_samples.insert_samples(self._ledger, conn, now, ids)
            await job_rows.change_job(conn, now, total=now.total + added, cursor=cursor)
        self._wake()
        return True

    async def _change(self, head: JobHead, **changes: object) -> None:
        async with self._ledger.write() as conn:
            if (now := await self._selecting(conn, head)) is not None:
                await job_rows.change_job(conn, now, **changes)

    async def _settle(self, head: JobHead) -> None:
        """Let a job run whose samples are all there; reject it where there are none."""
        async with self._ledger.write() as conn:
            now = await self._selecting(conn, head)
            if now is None or not now.selected:
                return
            if now.total:
                await job_rows.change_job(conn, now, state="running", changed_at=self._clock())
                return
            submit = await job_rows.submit_of(conn, head.job_id)
            reason = NO_IDS if submit is None else _nothing_found(submit)
            now = await reject(conn, now, reason, now=self._clock())
            await self._publish([announce.rejected(now)])

    async def _reject(self, head: JobHead, reason: str) -> None:
        async with self._ledger.write() as conn:
            if (now := await self._selecting(conn, head)) is not None:
                now = await reject(conn, now, reason, now=self._clock())
                await self._publish([announce.rejected(now)])

    async def _stop(self, head: JobHead, reason: str) -> None:
        """Reject a job that has not started; pause one that has."""
        if head.cursor is None:
            await self._reject(head, reason)
            return
        async with self._ledger.write() as conn:
            if (now := await self._selecting(conn, head)) is not None:
                await self._publish([announce.paused(await pause(conn, now, reason, now=self._clock()))])

    async def _selecting(self, conn: AsyncConnection, head: JobHead) -> JobHead | None:
        """Return the job's row, locked, while it still selects, in the same run."""
        now = await job_rows.job_head(conn, head.job_id, lock=True)
        if now is None or not now.runs or now.run != head.run:
            return None
        return now if now.state == "selecting" else None


class Part:
    """The `size` ids with the smallest keyed hashes of all that were offered, in whatever order."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._key = seed.to_bytes(16, "little", signed=True)
        self._heap: list[tuple[int, int]] = []

    def offer(self, ids: Iterable[int]) -> None:
        """Consider ids; offer each once."""
        for one in ids:
            digest = blake2b(one.to_bytes(8, "little", signed=True), key=self._key, digest_size=8).digest()
            entry = (-int.from_bytes(digest, "little"), one)
            if len(self._heap) < self._size:
                heapq.heappush(self._heap, entry)
            elif entry > self._heap[0]:
                heapq.heapreplace(self._heap, entry)

    def ids(self) -> list[int]:
        """Return the part, highest ids first, as Studio pages."""
        return sorted((one for _, one in self._heap), reverse=True)


def _kinds(bases: Iterable[Base]) -> list[SampleKind]:
    return list(dict.fromkeys(base.sample.kind for base in bases))


def _nothing_found(submit: SubmitJob) -> str:
    if submit.source_job_id is not None:
        return f"Job {submit.source_job_id} has stored no proposals. Run the preview first."
    if submit.selection.ids is not None:
        return NO_IDS
    return f"No sample of project {submit.project_id} fits the action's data filter. Widen the filter."
