"""Show jobs as the ledger has them, without touching Studio."""

import asyncio
import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import typer
from labelbus_contracts.ids import JobId
from labelbus_ledger import reports, spending
from labelbus_ledger.engine import Ledger
from labelbus_ledger.reports import Cost, FailureGroup, JobRow, LabelSummary, Progress
from labelbus_ledger.spending import Budget
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


@dataclass(frozen=True, slots=True)
class _Known:
    """What the ledger says of a job."""

    job: JobRow
    progress: Progress
    labels: tuple[LabelSummary, ...]
    failures: tuple[FailureGroup, ...]
    cost: Cost
    budget: Budget | None


async def print_one(prefix: str) -> None:
    """Print what is known of a job."""
    console = Console()
    known = await _known(prefix)
    job = known.job
    facts = {
        "job": job.job_id,
        "action": f"{job.action_name} ({', '.join(steps_of(job))})",
        "project": str(job.project_id),
        "mode": job.mode,
        "run by": job.carrier,
        "begun": _moment(job.created_at),
        "ended": _moment(job.ended_at),
        "cost": _cost(known),
    }
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(name, Text(value))
    console.print(table)
    print_labels(console, known.labels)
    print_failures(console, known.failures)
    typer.echo(closing(job, known.progress, interrupted=False))


async def print_json(prefix: str) -> None:
    """Print what is known of a job as one JSON object. Times are in UTC."""
    known = await _known(prefix)
    job = known.job
    document = {
        "job_id": job.job_id,
        "project_id": job.project_id,
        "action": job.submit.action.model_dump(mode="json", exclude_defaults=True),
        "mode": job.mode,
        "state": job.state,
        "reason": job.reason,
        "run": job.run,
        "carrier": job.carrier,
        "source_job_id": job.submit.source_job_id,
        "created_at": _iso(job.created_at),
        "started_at": _iso(job.started_at),
        "ended_at": _iso(job.ended_at),
        "samples": known.progress.counts,
        "labels": [asdict(one) for one in known.labels],
        "failures": [asdict(one) for one in known.failures],
        "cost": asdict(known.cost),
        "budget": None if known.budget is None else asdict(known.budget),
    }
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


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


async def _known(prefix: str) -> _Known:
    async with opened_ledger() as ledger:
        job = await job_of(ledger, prefix)
        async with ledger.read() as connection:
            return _Known(
                job,
                await reports.progress(connection, job.job_id),
                await reports.label_summary(connection, job.job_id),
                await reports.failures(connection, job.job_id),
                await reports.cost(connection, job.job_id),
                await spending.budget(connection, JobId(job.job_id)),
            )


def _cost(known: _Known) -> str:
    cost, budget = known.cost, known.budget
    tokens = cost.input_tokens + cost.output_tokens
    parts = [f"${cost.cost_usd:.4f}", f"{tokens:,} tokens" if tokens else "", duration(cost.seconds)]
    if budget is not None:
        cap = "no budget" if budget.cap_usd is None else f"budget ${budget.cap_usd:g}"
        parts += [f"{budget.calls:,} paid calls", cap]
    return ", ".join(part for part in parts if part)


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
