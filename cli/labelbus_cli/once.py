"""Run one action, or apply one preview, from the question before it to the summary after it."""

from collections.abc import Callable
from getpass import getuser
from pathlib import Path

import typer
from labelbus_committer.settings import CommitterSettings
from labelbus_contracts.ids import JobId, ProjectId
from labelbus_contracts.jobs import OnConflict
from labelbus_ledger.endings import ending
from labelbus_ledger.engine import Ledger
from labelbus_ledger.reports import JobRow
from labelbus_runtime.settings import load
from rich.console import Console

from labelbus_cli.asking import ask_to_write, check_somebody_answers
from labelbus_cli.errors import BadInput
from labelbus_cli.job_source import LedgerJobs, check_can_be_applied, job_named
from labelbus_cli.plan import Wish, new_job_id, unfinished
from labelbus_cli.progress import Display, new_display
from labelbus_cli.runner import Outcome, Work, carry_out, release_of
from labelbus_cli.session import ENV_SECRET, Session, configure_logs, opened
from labelbus_cli.summary import print_ending, steps_of
from labelbus_cli.survey import survey


async def once(wished: Callable[[ProjectId], Wish], *, yes: bool, new: bool, report: Path | None) -> int:
    """Carry out `labelbus run` in the key's project; return the exit code."""
    configure_logs()
    async with opened() as session:
        wish = wished(session.project.id)
        return await _carried_out(session, wish, yes=yes, new=new, report=report)


async def apply_preview(job_id: str, *, yes: bool, on_conflict: OnConflict, report: Path | None) -> int:
    """Write the stored proposals of a preview to Studio, without computing anything."""
    configure_logs()
    async with opened() as session:
        job = await job_of(session.ledger, job_id)
        check_can_be_applied(job, go_on="resume")
        _check_project(session, job)
        wish = Wish(
            project_id=session.project.id,
            action=job.submit.action,
            ids=None,
            mode="apply",
            source_job_id=JobId(job.job_id),
            on_conflict=on_conflict,
        )
        return await _carried_out(session, wish, yes=yes, new=False, report=report)


async def go_on(
    job_id: str, *, retry_failed: bool, report: Path | None, budget_usd: float | None = None
) -> int:
    """Go on with a paused or interrupted job in this process."""
    configure_logs()
    async with opened() as session:
        job = await job_of(session.ledger, job_id)
        if not job.is_embedded:
            raise BadInput(f"Job {job.job_id} belongs to a cluster ({job.carrier}), not to a single process.")
        _check_project(session, job)
        if job.state in ("cancelled", "rejected"):
            raise BadInput(f"Job {job.job_id} is {job.state} and cannot go on. Run its action again.")
        if job.ended_at is not None and not retry_failed:
            raise BadInput(
                f"Job {job.job_id} has {job.state.replace('_', ' ')}. Only --retry-failed reopens it."
            )
        display = new_display()
        await release_of(session, JobId(job.job_id), job.carrier, display)
        opened_ = () if job.submit.source_job_id else tuple(steps_of(job))
        work = Work(
            JobId(job.job_id),
            tuple(steps_of(job)),
            opened_,
            adopts=True,
            retry_failed=retry_failed,
            budget_usd=budget_usd,
        )
        outcome = await carry_out(session, work, display, committer=load(CommitterSettings))
        await show(session, outcome, report)
        return outcome.exit_code


async def job_of(ledger: Ledger, prefix: str) -> JobRow:
    """Return the one job whose id starts with `prefix`; `last` is the newest. Raises `BadInput`."""
    return await job_named(LedgerJobs(ledger), prefix)


async def show(session: Session, outcome: Outcome, report: Path | None) -> None:
    """Print the summary and write the report."""
    async with session.ledger.read() as connection:
        said = await ending(connection, outcome.job.job_id)
    print_ending(Console(), outcome.job, outcome.progress, said, interrupted=outcome.interrupted)
    if outcome.progress.done:
        from labelbus_cli.publishing import write_report  # jinja2 and Pillow: a block needs neither

        path = await write_report(session, outcome.job, report)
        typer.echo(f"Report: {path.absolute().as_uri()}")


async def _carried_out(session: Session, wish: Wish, *, yes: bool, new: bool, report: Path | None) -> int:
    display = new_display()
    if wish.mode == "apply":
        await _ask(session, wish, yes=yes)
    work = await work_for(session, wish, display, new=new, hint=" --new starts another one.")
    outcome = await carry_out(session, work, display, committer=load(CommitterSettings))
    await show(session, outcome, report)
    return outcome.exit_code


async def work_for(session: Session, wish: Wish, display: Display, *, new: bool, hint: str = "") -> Work:
    """Return what to carry out: the unfinished job of the same wish, unless `new`, or a fresh one.

    `hint` is said with the former: how to begin another one.
    """
    steps = tuple(place.work.labeler for place in wish.action.places)
    labelers = () if wish.source_job_id else steps
    if not new:
        async with session.ledger.read() as connection:
            found = await unfinished(connection, wish)
        if found is not None:
            job_id, carrier = found
            await release_of(session, job_id, carrier, display)
            display.note(f"Going on with job {job_id}, which had not ended.{hint}")
            budget_usd = wish.action.budget_usd if wish.budget_usd is None else wish.budget_usd
            more = tuple(wish.more(job_id))
            return Work(job_id, steps, labelers, more, adopts=True, budget_usd=budget_usd)
    job_id = new_job_id()
    display.note(f"Job {job_id} in project {session.project.id} ({session.project.name}).")
    submit = wish.submit(job_id, ENV_SECRET, _user())
    return Work(job_id, steps, labelers, (submit, *wish.more(job_id)))


def _check_project(session: Session, job: JobRow) -> None:
    if job.project_id != session.project.id:
        raise BadInput(
            f"Job {job.job_id} is of project {job.project_id}, the API key of {session.project.id}. "
            "Set the key of the job's project."
        )


async def _ask(session: Session, wish: Wish, *, yes: bool) -> None:
    """Show what would be written and ask. Raises `BadInput` where nobody can answer."""
    check_somebody_answers(yes=yes)
    counted = await survey(session, wish)
    typer.echo(f"Project {session.project.id} ({session.project.name}): {counted.sentence()}.", err=True)
    if not counted.total:
        raise BadInput("There is nothing to write. Widen the action's data filter, or name other samples.")
    ask_to_write(yes=yes)


def _user() -> str:
    try:
        return getuser()
    except (OSError, KeyError):
        return ""
