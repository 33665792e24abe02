"""Cancel, pause and resume: by the ledger for jobs of one process, by Kafka or HTTP for a cluster's."""

import os
import time
from pathlib import Path

import typer
from labelbus_contracts.ids import JobId
from labelbus_contracts.v1.commands import CancelJob, PauseJob, ResumeJob
from labelbus_contracts.v1.message import Message, message_id
from labelbus_dispatcher.commands import JobCommands
from labelbus_ledger.engine import Ledger
from labelbus_ledger.reports import JobRow

from labelbus_cli.cancelled import complete_cancel, settle_cancelled
from labelbus_cli.cluster import publish
from labelbus_cli.cluster_address import is_given
from labelbus_cli.errors import BadInput
from labelbus_cli.job_source import job_named, opened_jobs
from labelbus_cli.once import go_on, job_of
from labelbus_cli.ownership import is_run
from labelbus_cli.session import KEY_VARIABLE, configure_logs, opened, opened_ledger


async def cancel(prefix: str) -> str:
    """Cancel a job; return what to say."""
    configure_logs()
    if is_given():
        async with opened_jobs() as jobs:
            job = _still_open(await job_named(jobs, prefix))
        job_id = JobId(job.job_id)
        await publish([_cancel(job_id)])
        return f"Job {job_id} is being cancelled. What is written stays."
    async with opened_ledger() as ledger:
        job = await _open_job(ledger, prefix)
        job_id = JobId(job.job_id)
        await _send(ledger, job, _cancel(job_id))
        if not job.is_embedded or await _is_run(ledger, job):
            return f"Job {job_id} is being cancelled. What is written stays."
        await complete_cancel(ledger, job_id)
        if (await job_of(ledger, job_id)).ended_at is None:
            return await _settle(job_id)
    return f"Job {job_id} is cancelled. What is written stays."


async def pause(prefix: str) -> str:
    """Pause a job; return what to say."""
    configure_logs()
    if is_given():
        async with opened_jobs() as jobs:
            job_id = JobId(_still_open(await job_named(jobs, prefix)).job_id)
        await publish([_pause(job_id)])
    else:
        async with opened_ledger() as ledger:
            job = await _open_job(ledger, prefix)
            job_id = JobId(job.job_id)
            await _send(ledger, job, _pause(job_id))
    return f"Job {job_id} pauses within seconds. Go on with `labelbus jobs resume {job_id[:8]}`."


async def resume(
    prefix: str, *, retry_failed: bool, report: Path | None, budget_usd: float | None = None
) -> int:
    """Go on with a process's job here, with a cluster's there; return the exit code."""
    async with opened_jobs() as jobs:
        job = await job_named(jobs, prefix)
    if job.is_embedded and not is_given():
        return await go_on(job.job_id, retry_failed=retry_failed, report=report, budget_usd=budget_usd)
    job_id = JobId(job.job_id)
    command = ResumeJob(
        id=_id("resume_job", job_id), job_id=job_id, retry_failed=retry_failed, budget_usd=budget_usd
    )
    await publish([command])
    typer.echo(f"Job {job_id} goes on there. Follow it with `labelbus jobs watch {job_id[:8]}`.")
    return 0


async def _settle(job_id: JobId) -> str:
    """End a job whose process died while it wrote: Studio is asked how far it came."""
    if not os.environ.get(KEY_VARIABLE):
        again = f"Set {KEY_VARIABLE} and run `labelbus jobs cancel {job_id[:8]}` again to settle it."
        return f"Job {job_id} is cancelling: its process ended in the middle of a write. {again}"
    async with opened() as session:
        await settle_cancelled(session.ledger, session.access)
        ended_at = (await job_of(session.ledger, job_id)).ended_at
    if ended_at is not None:
        return f"Job {job_id} is cancelled. What is written stays."
    return (
        f"Job {job_id} is cancelling: a write was under way, and nobody knows yet whether it goes on. "
        f"Run `labelbus jobs cancel {job_id[:8]}` again in a minute."
    )


async def _open_job(ledger: Ledger, prefix: str) -> JobRow:
    return _still_open(await job_of(ledger, prefix))


def _still_open(job: JobRow) -> JobRow:
    if job.ended_at is not None:
        raise BadInput(f"Job {job.job_id} has ended already: {job.state.replace('_', ' ')}.")
    return job


async def _send(ledger: Ledger, job: JobRow, command: Message) -> None:
    if not job.is_embedded:
        await publish([command])
        return
    await JobCommands(ledger, carrier_id=job.carrier, labelers={}, wake=_nothing).handle(command)


async def _is_run(ledger: Ledger, job: JobRow) -> bool:
    async with ledger.read() as connection:
        return await is_run(connection, job.carrier)


def _cancel(job_id: JobId) -> CancelJob:
    return CancelJob(id=_id("cancel_job", job_id), job_id=job_id, reason="Cancelled on request.")


def _pause(job_id: JobId) -> PauseJob:
    return PauseJob(id=_id("pause_job", job_id), job_id=job_id)


def _id(kind: str, job_id: JobId) -> str:
    return message_id(kind, job_id, time.time_ns())


def _nothing() -> None:
    return None
