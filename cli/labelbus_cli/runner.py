"""Carry out one job in this process: begin or go on, watch, drain when interrupted."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from labelbus_committer.settings import CommitterSettings
from labelbus_contracts.ids import JobId
from labelbus_contracts.v1.commands import ResumeJob
from labelbus_contracts.v1.message import Message, message_id
from labelbus_labeling.paid.answer import PaidDesk
from labelbus_ledger import reports
from labelbus_ledger.reports import JobRow, Progress
from labelbus_ledger.tables import ENDED_JOB_STATES

from labelbus_cli.cancelled import settle_cancelled
from labelbus_cli.embedded import Embedded
from labelbus_cli.errors import BadInput, CommandError, Interrupted, Unfinished
from labelbus_cli.labelers import all_labelers
from labelbus_cli.ownership import Owner, owner_of
from labelbus_cli.progress import Display, Stalls
from labelbus_cli.session import Session
from labelbus_cli.summary import exit_code

_LOOK_EVERY_S: Final = 0.2
_LONGEST_LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Work:
    """One job to carry out: `commands` begin it; `adopts` goes on with one of a process that is gone."""

    job_id: JobId
    steps: tuple[str, ...]
    opened: tuple[str, ...]
    commands: tuple[Message, ...] = ()
    adopts: bool = False
    retry_failed: bool = False
    budget_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the job stands at the end of the command."""

    job: JobRow
    progress: Progress
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """0 when all is done, 1 when a person should look."""
        return exit_code(self.job, self.progress)


async def carry_out(
    session: Session,
    work: Work,
    display: Display,
    *,
    committer: CommitterSettings,
    environ: Mapping[str, str] = os.environ,
    paid: PaidDesk | None = None,
) -> Outcome:
    """Run until the job ends or pauses, or until SIGINT or SIGTERM; then drain.

    Raises `BadInput` where the job is rejected, `Unfinished` where it cannot go on.
    """
    await settle_cancelled(session.ledger, session.access)
    process = Embedded(
        session.ledger,
        session.access,
        known=all_labelers(),
        opened=work.opened,
        committer=committer,
        environ=environ,
        paid=paid,
        cache=session.cache,
    )
    with interruptible(lambda: display.note("Interrupted. Finishing what runs …")) as interrupted:
        await _started(process, interrupted)
        async with process:
            try:
                await _begin(process, work)
                for text in process.announcements:
                    display.note(text)
                display.begin(work.steps)
                await _watch(session, process, work, display, interrupted)
            finally:
                display.end()
    job, progress = await _look(session, work.job_id)
    if job is None:
        raise Interrupted("The job was interrupted before it began. Run the command again.")
    return Outcome(job, progress, interrupted.is_set())


async def _started(process: Embedded, interrupted: asyncio.Event) -> None:
    """Open the labelers, which may load models for minutes, unless interrupted. Raises `Interrupted`."""
    start, stop = asyncio.ensure_future(process.start()), asyncio.ensure_future(interrupted.wait())
    try:
        await asyncio.wait((start, stop), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
        start.cancel()
        await asyncio.wait((start, stop))
    if start.cancelled():
        raise Interrupted("Interrupted before the job began. Run the command again.")
    start.result()


async def release_of(session: Session, job_id: JobId, carrier: str, display: Display) -> None:
    """Wait until the process that runs a job is known to be gone. Raises `CommandError` if it lives."""
    owner = await _owner(session, carrier)
    if owner is None or not owner.may_live:
        return
    display.note(f"Job {job_id} belonged to process {owner.pid} on {owner.host}; waiting for its lease.")
    await asyncio.sleep(owner.lapses_in_s + 0.1)
    owner = await _owner(session, carrier)
    if owner is not None and owner.may_live:
        raise CommandError(
            f"Job {job_id} is being run by process {owner.pid} on {owner.host}. Follow it with "
            f"`labelbus jobs watch {job_id}`, stop that process, or start another job by `run --new`."
        )


async def _owner(session: Session, carrier: str) -> Owner | None:
    async with session.ledger.read() as connection:
        return await owner_of(connection, carrier)


@contextmanager
def interruptible(say: Callable[[], None]) -> Iterator[asyncio.Event]:
    """Turn the first SIGINT or SIGTERM into an event, and say so; the second ends the process as usual."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int) -> None:
        if event.is_set():  # both came while the loop was busy
            signal.raise_signal(number)
            return
        event.set()
        restore()
        say()

    def restore() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)

    try:
        for number in numbers:
            loop.add_signal_handler(number, stop, number)
    except (NotImplementedError, RuntimeError, ValueError):  # no main thread, or Windows
        yield event
        return
    try:
        yield event
    finally:
        restore()


async def _begin(process: Embedded, work: Work) -> None:
    if not work.adopts:
        await process.carrier.publish(work.commands)
        return
    if not await process.adopt(work.job_id):
        raise CommandError(f"Another process has just taken job {work.job_id}. Follow it there.")
    resume = ResumeJob(
        id=message_id("resume_job", work.job_id, time.time_ns()),
        job_id=work.job_id,
        retry_failed=work.retry_failed,
        budget_usd=work.budget_usd,
    )
    await process.carrier.publish([resume, *work.commands])


async def _watch(
    session: Session, process: Embedded, work: Work, display: Display, interrupted: asyncio.Event
) -> None:
    stalls, told = Stalls(), set[str]()
    resumes_until = time.monotonic() + 5.0 if work.adopts else 0.0
    while not interrupted.is_set():
        started = time.monotonic()
        job, progress = await _look(session, work.job_id)
        if job is None or job.state == "rejected":
            _raise_rejection(process, work, job)
        else:
            display.update(progress, job.total if job.selected else None)
            if stalls.stands_still(progress.done):
                await _tell_why(session, work.job_id, display, told)
            is_old = job.state in ENDED_JOB_STATES or job.state == "paused"
            if is_old and (not work.adopts or not _still_resuming(work, job, resumes_until)):
                return
        if stopped := process.carrier.stopped_workers:
            raise Unfinished("\n".join(stopped.values()))
        pause_s = min(_LONGEST_LOOK_S, max(_LOOK_EVERY_S, 3 * (time.monotonic() - started)))
        try:
            async with asyncio.timeout(pause_s):
                await interrupted.wait()
        except TimeoutError:
            continue


async def _tell_why(session: Session, job_id: JobId, display: Display, told: set[str]) -> None:
    """Say what the samples that are to be tried again wait for; once for each kind of fault."""
    async with session.ledger.read() as connection:
        groups = await reports.waits(connection, job_id)
    for group in groups:
        if group.code not in told:
            told.add(group.code)
            display.note(f"{group.count} to be tried again: {group.reason}")


def _still_resuming(work: Work, job: JobRow, until: float) -> bool:
    """A job that was paused, or ended with failures, needs a moment to be opened again."""
    waits = job.state == "paused" or work.retry_failed
    return waits and time.monotonic() < until


def _raise_rejection(process: Embedded, work: Work, job: JobRow | None) -> None:
    reason = job.reason if job is not None else process.rejections.get(work.job_id)
    if reason is not None:
        raise BadInput(f"The job cannot start: {reason}")


async def _look(session: Session, job_id: JobId) -> tuple[JobRow | None, Progress]:
    async with session.ledger.read() as connection:
        job = await reports.find_job(connection, job_id)
        return job, await reports.progress(connection, job_id)
