"""Write a draft to Studio once per sample and job: look, read back, claim, write, record.

A process may die between any two of these. The claim keeps what was found and what was to be written, so
whoever comes next reads the sample back and finishes, begins again, or holds.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeAlias
from uuid import uuid4

from labelbus_contracts.ids import JobId, ProjectId, SampleId, SecretName
from labelbus_contracts.labels import Base, LabelPart
from labelbus_contracts.v1.commands import CommitSample
from labelbus_contracts.v1.events import WriteEvent
from labelbus_ledger.access import StudioAccess, as_runtime_error
from labelbus_ledger.claims import Claim, ClaimAnswer, ClaimWish, Receipt, Release, Standing
from labelbus_ledger.committer import CommitterRows
from labelbus_runtime.errors import RetryLater, SampleRefused
from labelbus_studio.calls import until
from labelbus_studio.client import StudioClient
from labelbus_studio.errors import SampleNotFound, StudioError, StudioUnavailable
from labelbus_studio.samples import Sample

from labelbus_committer import decide, replies
from labelbus_committer.batches import Batches
from labelbus_committer.settings import CommitterSettings
from labelbus_committer.studio import write_part

_LOOKS: Final = 4
"""How often a sample that changes under our eyes is looked at again, in one attempt."""
_BUSY_S: Final = 2.0
_CLOCK_SKEW_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Failed:
    """A write that ended early: why, and the parts that had been written by then."""

    error: RetryLater | SampleRefused
    written: tuple[LabelPart, ...]


Ending: TypeAlias = ClaimAnswer | Failed
"""How a write ended; "taken" is done."""


class SampleCommitter:
    """Handles `CommitSample`. Raises `Unavailable` while the ledger is away; all else is an answer."""

    def __init__(
        self,
        rows: CommitterRows,
        batches: Batches,
        *,
        access: StudioAccess,
        settings: CommitterSettings,
        clock: Callable[[], float] = time.time,
        process: str | None = None,
    ) -> None:
        self._rows = rows
        self._batches = batches
        self._access = access
        self._settings = settings
        self._clock = clock
        self._process = process or uuid4().hex
        self._writing: set[str] = set()

    async def __call__(self, command: CommitSample) -> WriteEvent:
        """Write the draft, and say what became of it."""
        if reason := decide.unwritable(command.base, command.draft):
            return replies.refused(command, SampleRefused(reason, code="unwritable"))
        deadline = asyncio.get_running_loop().time() + self._settings.attempt_s
        try:
            for _ in range(_LOOKS):
                if (event := await self._attempt(command, deadline)) is not None:
                    return event
        except StudioError as error:
            return replies.answer(command, _translated(error, command.project_id, command.sample_id))
        except (RetryLater, SampleRefused) as error:
            return replies.answer(command, error)
        return replies.deferred(command, f"Sample {command.sample_id} keeps changing.", after_s=_BUSY_S)

    async def settle(self, claim: Claim, secret: SecretName) -> None:
        """Finish or forget what a lapsed claim had begun, though nobody asks for it any more.

        Raises `StudioError`, `RetryLater`, `Unavailable`.
        """
        deadline = asyncio.get_running_loop().time() + self._settings.attempt_s
        client = await self._access.client(claim.project_id, secret)
        standing = await self._batches.look((claim.project_id, claim.sample_id))
        if standing.claim is None or standing.claim.token != claim.token or not self._has_lapsed(claim):
            return
        try:
            sample = await self._read(client, claim.project_id, claim.sample_id, deadline)
        except SampleNotFound:
            await self._forget(claim)
            return
        rest = await self._rest(claim, sample, standing)
        if not await self._finish(claim, rest, client, sample, standing, deadline):
            await self._forget(claim)

    async def _attempt(self, command: CommitSample, deadline: float) -> WriteEvent | None:
        """Make one attempt; None when the sample changed meanwhile and must be looked at again."""
        standing = await self._batches.look((command.project_id, command.sample_id))
        own = standing.of_job(command.job_id)
        if own is not None and own.run >= command.run:
            return replies.committed(command, own.changed)
        claim = standing.claim
        if claim is not None and not self._has_lapsed(claim):
            return _busy(command, claim.left_s)
        client = await self._access.client(command.project_id, command.secret)
        if claim is None and self._is_fresh(command, standing):
            write = decide.plan(command.base.labels, command.draft, None, command.on_conflict)
        else:
            sample = await self._read(client, command.project_id, command.sample_id, deadline)
            ours = claim if claim is not None and claim.job_id == command.job_id else None
            if claim is not None and claim is not ours:
                rest = await self._rest(claim, sample, standing)
                if isinstance(rest, decide.Hold) and claim.left_s > -self._settings.claim_s:
                    return _busy(command, _BUSY_S)  # its own job comes first, and holds the sample
                if await self._finish(claim, rest, client, sample, standing, deadline):
                    return None
            write = await self._plan(command, sample, ours, standing)
        if isinstance(write, decide.Hold):
            return await self._hold(command, write, standing, sample)
        key = (command.project_id, command.sample_id)
        wish = self._wish(command.job_id, command.run, key, write, standing)
        ending = await self._carry_out(wish, write, client, command.base, deadline)
        return _event(command, write, ending)

    async def _hold(
        self, command: CommitSample, hold: decide.Hold, standing: Standing, live: Sample
    ) -> WriteEvent | None:
        """Leave the sample to people, or to its job where another job of ours made the difference.

        None where one of ours began to write it, or wrote it, between the look at the ledger and the read.
        """
        key = (command.project_id, command.sample_id)
        if _is_other(await self._batches.look(key), standing):
            return None
        by_job = None
        if standing.of_others(command.job_id):
            last = await self._rows.latest_target(key, not_by=command.job_id)
            added = await self._added(command.job_id, standing)
            if last is not None and decide.explains(last[1], live.labels, added=added):
                by_job = last[0]
        if standing.claim is not None and standing.claim.job_id == command.job_id:
            await self._forget(standing.claim)
        return replies.held(command, hold.differs, by_job)

    async def _forget(self, claim: Claim) -> None:
        await self._batches.release(Release(claim.project_id, claim.sample_id, claim.token, keep=False))

    async def _finish(
        self,
        claim: Claim,
        rest: decide.Write | decide.Hold,
        client: StudioClient,
        live: Sample,
        standing: Standing,
        deadline: float,
    ) -> bool:
        """Finish what another attempt had half written; False when there is nothing to finish."""
        if isinstance(rest, decide.Hold) or decide.is_untouched(rest, live.labels):
            return False
        base = Base(sample=live.facts, labels=claim.found, read_at=_utc(self._clock()))
        key = (claim.project_id, claim.sample_id)
        wish = self._wish(claim.job_id, claim.run, key, rest, standing, anyway=True)
        ending = await self._carry_out(wish, rest, client, base, deadline)
        if isinstance(ending, Failed):
            raise ending.error
        return True

    async def _plan(
        self, command: CommitSample, live: Sample, begun: Claim | None, standing: Standing
    ) -> decide.Write | decide.Hold:
        """Plan from what is there now; `begun` is the same job's own claim that lapsed."""
        if begun is not None and begun.run == command.run:
            rest = await self._rest(begun, live, standing)
            if isinstance(rest, decide.Write) or command.on_conflict == "hold":
                return rest
        write = decide.plan(command.base.labels, command.draft, live.labels, command.on_conflict)
        if begun is not None and begun.run != command.run and isinstance(write, decide.Write):
            return replace(write, found=begun.found)  # an undo restores what was there before the first run
        return write

    async def _rest(self, claim: Claim, live: Sample, standing: Standing) -> decide.Write | decide.Hold:
        """Plan the rest of a lapsed claim's write."""
        begun = decide.Begun(claim.found, claim.target)
        rest = decide.resume(begun, live.labels)
        if isinstance(rest, decide.Hold):
            rest = decide.resume(begun, live.labels, added=await self._added(claim.job_id, standing))
        return rest

    async def _added(self, job_id: JobId, standing: Standing) -> decide.Metadata:
        """Return what other jobs that committed the sample add to its metadata at their end."""
        others = {mark.job_id for mark in standing.of_others(job_id)}
        return await self._rows.metadata_after(others) if others else frozenset()

    async def _carry_out(
        self, wish: ClaimWish, write: decide.Write, client: StudioClient, base: Base, deadline: float
    ) -> Ending:
        """Claim, write, record. The claim of a write that may have landed is kept for the next attempt."""
        self._writing.add(wish.token)
        try:
            if (answer := await self._batches.claim(wish)) != "taken":
                return answer
            failed = await self._write(wish, write, client, deadline)
            if failed is not None:
                return failed
            await self._batches.commit(_receipt(wish, write, base))
        finally:
            self._writing.discard(wish.token)
        return "taken"

    async def _write(
        self, wish: ClaimWish, write: decide.Write, client: StudioClient, deadline: float
    ) -> Failed | None:
        begun: list[LabelPart] = []
        try:
            async with until(deadline):
                for part in write.parts:
                    begun.append(part)
                    await write_part(client, wish.project_id, wish.sample_id, part, write.target)
        except (StudioError, TimeoutError) as error:
            fault = _translated(error, wish.project_id, wish.sample_id)
            await self._batches.release(
                Release(wish.project_id, wish.sample_id, wish.token, keep=isinstance(fault, RetryLater))
            )
            return Failed(fault, tuple(begun[:-1]))
        return None

    async def _read(
        self, client: StudioClient, project_id: ProjectId, sample_id: SampleId, deadline: float
    ) -> Sample:
        try:
            async with until(deadline):
                return await client.read_sample(project_id, sample_id, purpose="conflict")
        except TimeoutError as error:
            raise StudioUnavailable(f"Studio did not answer for sample {sample_id} in time.") from error

    def _wish(
        self,
        job_id: JobId,
        run: int,
        key: tuple[ProjectId, SampleId],
        write: decide.Write,
        standing: Standing,
        *,
        anyway: bool = False,
    ) -> ClaimWish:
        return ClaimWish(
            project_id=key[0],
            sample_id=key[1],
            job_id=job_id,
            run=run,
            token=f"{self._process}:{uuid4().hex[:16]}",
            ttl_s=self._settings.claim_s,
            found=write.found,
            target=write.target,
            seen=standing,
            anyway=anyway,
        )

    def _has_lapsed(self, claim: Claim) -> bool:
        """Tell whether nobody works under a claim: its time is over, or our own call has ended."""
        if claim.token.startswith(self._process):
            return claim.token not in self._writing
        return claim.left_s <= 0

    def _is_fresh(self, command: CommitSample, standing: Standing) -> bool:
        """Tell whether the base may be taken for what Studio holds now."""
        after_s = command.conflict_check_after_s
        read_at = command.base.read_at.timestamp()
        if self._clock() - read_at >= (self._settings.conflict_check_after_s if after_s is None else after_s):
            return False
        return all(mark.committed_at < read_at - _CLOCK_SKEW_S for mark in standing.commits)


def _is_other(now: Standing, before: Standing) -> bool:
    tokens = [None if one.claim is None else one.claim.token for one in (now, before)]
    return tokens[0] != tokens[1] or now.commits != before.commits


def _receipt(wish: ClaimWish, write: decide.Write, base: Base) -> Receipt:
    return Receipt(
        project_id=wish.project_id,
        sample_id=wish.sample_id,
        job_id=wish.job_id,
        run=wish.run,
        token=wish.token,
        base=base,
        found=write.found,
        target=write.target,
        changed=write.changed,
    )


def _event(command: CommitSample, write: decide.Write, ending: Ending) -> WriteEvent | None:
    match ending:
        case "taken":
            return replies.committed(command, write.changed)
        case "busy":
            return _busy(command, _BUSY_S)
        case "stopped":
            return replies.stopped(command)
        case "stale":
            return None
        case Failed(error, written):
            return replies.answer(command, error, written)


def _busy(command: CommitSample, left_s: float) -> WriteEvent:
    reason = f"Sample {command.sample_id} of project {command.project_id} is being written just now."
    return replies.deferred(command, reason, after_s=min(max(left_s, 0.1), _BUSY_S))


def _translated(
    error: StudioError | TimeoutError, project_id: ProjectId, sample_id: SampleId
) -> RetryLater | SampleRefused:
    if isinstance(error, TimeoutError):
        return RetryLater(f"Studio did not take sample {sample_id} in time.", code="studio_unavailable")
    return as_runtime_error(error, project_id=project_id, sample_id=sample_id)


def _utc(unix_s: float) -> datetime:
    return datetime.fromtimestamp(unix_s, UTC)
