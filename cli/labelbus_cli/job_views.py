"""Show jobs as the ledger has them, or a cluster's HTTP API, without touching Studio."""

import asyncio
import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import typer
from labelbus_ledger.endings import Ending
from labelbus_ledger.reports import JobRow, Progress
from rich.console import Console
from rich.table import Table
from rich.text import Text

from labelbus_cli.job_source import JobSource, job_named, opened_jobs
from labelbus_cli.progress import Display, duration, new_display
from labelbus_cli.summary import bare_table, closing, exit_code, print_ending, steps_of

_LOOK_EVERY_S = 0.5
_LEAST_USD = 0.00005
_TAKEN_UP_WITHIN_S = 60.0
_ID_LENGTHS = (32, 36)


async def print_list(limit: int) -> None:
    """Print the newest jobs."""
    table = bare_table("job", "action", "project", "mode", "state", "samples", "age", numbers=("samples",))
    table.columns[0].no_wrap = True  # it is what people copy
    async with opened_jobs() as jobs:
        found = await jobs.newest(limit=limit)
        for job_id in found:
            looked = await jobs.look(job_id)
            if looked is not None:
                is_interrupted = await jobs.is_interrupted(looked[0])
                table.add_row(*map(Text, _line(*looked, is_interrupted=is_interrupted)))
    if not found:
        typer.echo("There is no job yet. `labelbus run ACTION` makes one.")
        return
    Console().print(table)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a job."""

    job: JobRow
    progress: Progress
    ending: Ending
    is_interrupted: bool


async def print_one(prefix: str) -> None:
    """Print what is known of a job."""
    console = Console()
    known = await _known(prefix)
    job, said = known.job, known.ending
    facts = {
        "job": job.job_id,
        "action": f"{job.action_name} ({', '.join(steps_of(job))})",
        "project": str(job.project_id),
        "mode": job.mode,
        "run by": job.carrier,
        "begun": _moment(job.created_at),
        "ended": _moment(job.ended_at),
        "cost": _cost(said),
    }
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(value))
    console.print(table)
    print_ending(console, job, known.progress, said, interrupted=known.is_interrupted)


async def print_json(prefix: str) -> None:
    """Print what is known of a job as one JSON object. Times are in UTC."""
    known = await _known(prefix)
    job, said = known.job, known.ending
    document = {
        "job_id": job.job_id,
        "project_id": job.project_id,
        "action": job.submit.action.model_dump(mode="json", exclude_defaults=True),
        "mode": job.mode,
        "state": job.state,
        "interrupted": known.is_interrupted,
        "reason": job.reason,
        "run": job.run,
        "carrier": job.carrier,
        "source_job_id": job.submit.source_job_id,
        "created_at": _iso(job.created_at),
        "started_at": _iso(job.started_at),
        "ended_at": _iso(job.ended_at),
        "samples": known.progress.counts,
        "labels": [asdict(one) for one in said.labels],
        "failures": [asdict(one) for one in said.failures],
        "waits": [asdict(one) for one in said.waits],
        "cost": asdict(said.cost),
        "budget": None if said.budget is None else asdict(said.budget),
    }
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


async def follow(prefix: str) -> int:
    """Show a job's progress until it ends or pauses; return the exit code."""
    display = new_display()
    async with opened_jobs() as jobs:
        job = await _taken_up(jobs, prefix, display)
        counted, is_interrupted = Progress(), False
        display.begin(steps_of(job))
        try:
            while True:
                started = time.monotonic()
                job, counted = await jobs.look(job.job_id) or (job, counted)
                display.update(counted, job.total if job.selected else None)
                is_interrupted = await jobs.is_interrupted(job)
                if job.ended_at is not None or job.state == "paused" or is_interrupted:
                    break
                await asyncio.sleep(max(_LOOK_EVERY_S, 3 * (time.monotonic() - started)))
        finally:
            display.end()
    typer.echo(closing(job, counted, interrupted=is_interrupted))
    return exit_code(job, counted)


async def _taken_up(jobs: JobSource, job_id: str, display: Display) -> JobRow:
    """Return the job; one that was just submitted, and is named in full, once a dispatcher has taken it."""
    end = time.monotonic() + (_TAKEN_UP_WITHIN_S if len(job_id) in _ID_LENGTHS else 0)
    is_told = False
    while time.monotonic() < end:
        looked = await jobs.look(job_id)
        if looked is not None:
            return looked[0]
        if not is_told:
            display.note(f"Job {job_id} is not there yet; waiting for a dispatcher to take it up.")
        is_told = True
        await asyncio.sleep(_LOOK_EVERY_S)
    return await job_named(jobs, job_id)


async def _known(prefix: str) -> _Known:
    async with opened_jobs() as jobs:
        job = await job_named(jobs, prefix)
        job, counted = await jobs.look(job.job_id) or (job, Progress())
        ending = await jobs.ending(job.job_id)
        return _Known(job, counted, ending, await jobs.is_interrupted(job))


def _cost(said: Ending) -> str:
    cost, budget = said.cost, said.budget
    tokens = cost.input_tokens + cost.output_tokens
    parts = [
        f"${cost.cost_usd:.4f}",
        f"{tokens:,} tokens" if tokens else "",
        f"{duration(cost.seconds)} of computing",
    ]
    if budget is not None:
        cap = "no budget" if budget.cap_usd is None else f"budget ${budget.cap_usd:g}"
        lost_usd = budget.spent_usd + budget.held_usd - cost.cost_usd
        if budget.cap_usd is not None and lost_usd >= _LEAST_USD:
            cap += f" (${lost_usd:.4f} held or lost)"
        parts += [f"{budget.calls:,} paid calls", cap]
    return ", ".join(part for part in parts if part)


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _line(job: JobRow, counted: Progress, *, is_interrupted: bool) -> tuple[str, ...]:
    age = " ".join(duration(time.time() - job.created_at).split()[:2])  # its largest unit
    state = "interrupted" if is_interrupted else job.state.replace("_", " ")
    samples = f"{counted.done}/{counted.total}"
    return (job.job_id[:12], job.action_name, str(job.project_id), job.mode, state, samples, age)


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
