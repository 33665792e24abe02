"""Show jobs as the ledger has them, without touching Studio."""

import asyncio
import time
from datetime import UTC, datetime

import typer
from labelbus_ledger import reports
from labelbus_ledger.engine import Ledger
from labelbus_ledger.reports import JobRow
from rich.console import Console
from rich.table import Table
from rich.text import Text

from labelbus_cli.once import job_of, new_display
from labelbus_cli.progress import Display, duration
from labelbus_cli.runner import steps_of
from labelbus_cli.session import opened_ledger
from labelbus_cli.summary import closing, exit_code, print_failures, print_labels

_LOOK_EVERY_S = 0.5
_TAKEN_UP_WITHIN_S = 60.0
_ID_LENGTHS = (32, 36)


async def print_list(limit: int) -> None:
    """Print the newest jobs."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("job", "action", "project", "mode", "state", "samples", "age"):
        table.add_column(name, justify="right" if name == "samples" else "left")
    async with opened_ledger() as ledger, ledger.read() as connection:
        found = await reports.list_jobs(connection, limit=limit)
        for job in found:
            counted = await reports.progress(connection, job.job_id)
            age = duration(time.time() - job.created_at)
            row = (
                job.job_id[:12],
                job.action_name,
                str(job.project_id),
                job.mode,
                job.state.replace("_", " "),
            )
            table.add_row(*map(Text, row), f"{counted.done}/{counted.total}", age)
    if not found:
        typer.echo("There is no job yet. `labelbus run ACTION` makes one.")
        return
    Console().print(table)


async def print_one(prefix: str) -> None:
    """Print what is known of a job."""
    console = Console()
    async with opened_ledger() as ledger:
        job = await job_of(ledger, prefix)
        async with ledger.read() as connection:
            counted = await reports.progress(connection, job.job_id)
            labels = await reports.label_summary(connection, job.job_id)
            failed = await reports.failures(connection, job.job_id)
    facts = {
        "job": job.job_id,
        "action": f"{job.action_name} ({', '.join(steps_of(job))})",
        "project": str(job.project_id),
        "mode": job.mode,
        "run by": job.carrier,
        "begun": _moment(job.created_at),
        "ended": _moment(job.ended_at),
    }
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(name, Text(value))
    console.print(table)
    print_labels(console, labels)
    print_failures(console, failed)
    typer.echo(closing(job, counted, interrupted=False))


async def follow(prefix: str) -> int:
    """Show a job's progress until it ends or pauses; return the exit code."""
    display = new_display()
    async with opened_ledger() as ledger:
        job = await _taken_up(ledger, prefix, display)
        display.begin(steps_of(job))
        try:
            while True:
                async with ledger.read() as connection:
                    counted = await reports.progress(connection, job.job_id)
                    job = await reports.find_job(connection, job.job_id) or job
                display.update(counted, job.total if job.selected else None)
                if job.ended_at is not None or job.state == "paused":
                    break
                await asyncio.sleep(_LOOK_EVERY_S)
        finally:
            display.end()
    typer.echo(closing(job, counted, interrupted=False))
    return exit_code(job, counted)


async def _taken_up(ledger: Ledger, job_id: str, display: Display) -> JobRow:
    """Return the job; one that was just submitted, and is named in full, once a dispatcher has taken it."""
    end = time.monotonic() + (_TAKEN_UP_WITHIN_S if len(job_id) in _ID_LENGTHS else 0)
    is_told = False
    while time.monotonic() < end:
        async with ledger.read() as connection:
            job = await reports.find_job(connection, job_id)
        if job is not None:
            return job
        if not is_told:
            display.note(f"Job {job_id} is not in the ledger yet; waiting for a dispatcher to take it up.")
        is_told = True
        await asyncio.sleep(_LOOK_EVERY_S)
    return await job_of(ledger, job_id)


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
