"""`labelbus jobs`: what runs, what happened, and commands about it. JOB is how an id begins, or `last`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from labelbus_runtime import loop

from labelbus_cli.commands.options import OnConflictOption, ReportOption, YesOption

app = typer.Typer(no_args_is_help=True, help="Jobs: list, show, watch, stop, go on, report, apply.")
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, how it begins, or last.")]


@app.command("list")
def list_(limit: Annotated[int, typer.Option("-n", "--limit", min=1)] = 20) -> None:
    """List jobs, newest first."""
    from labelbus_cli.job_views import print_list

    loop.run(print_list(limit))


@app.command("show")
def show(
    job: JobArgument, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Show one job: state, counts, labels, failures, cost."""
    from labelbus_cli.job_views import print_json, print_one

    loop.run(print_json(job) if as_json else print_one(job))


@app.command("watch")
def watch(job: JobArgument) -> None:
    """Follow a job, whoever runs it, until it ends."""
    from labelbus_cli.job_views import follow

    raise typer.Exit(loop.run(follow(job)))


@app.command("cancel")
def cancel(job: JobArgument) -> None:
    """End a job early. What is written stays; it cannot be resumed."""
    from labelbus_cli.job_commands import cancel as do

    typer.echo(loop.run(do(job)))


@app.command("pause")
def pause(job: JobArgument) -> None:
    """Stop a job for now, in whatever process it runs."""
    from labelbus_cli.job_commands import pause as do

    typer.echo(loop.run(do(job)))


@app.command("resume")
def resume(
    job: JobArgument,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try the failed samples again.")
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(min=0, metavar="USD", help="What the whole job may spend, what is spent included."),
    ] = None,
    report: ReportOption = None,
) -> None:
    """Go on with a paused or interrupted job.

    It goes on in this process; a cluster's job in the cluster.
    """
    from labelbus_cli.job_commands import resume as do

    raise typer.Exit(loop.run(do(job, retry_failed=retry_failed, report=report, budget_usd=budget)))


@app.command("report")
def report(
    job: JobArgument,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The HTML file to write.")] = None,
    pictures: Annotated[int, typer.Option(min=0, help="How many samples to show, most changed first.")] = 60,
) -> None:
    """Write an HTML page with counts, failures and pictures."""
    from labelbus_cli.cluster_address import address, is_given
    from labelbus_cli.cluster_api import ClusterApi
    from labelbus_cli.once import job_of
    from labelbus_cli.publishing import write_cluster_report, write_report
    from labelbus_cli.session import configure_logs, opened

    async def work() -> Path:
        configure_logs()
        if is_given():
            async with ClusterApi(address()) as api:
                return await write_cluster_report(api, job, output, pictures=pictures)
        async with opened() as session:
            return await write_report(session, await job_of(session.ledger, job), output, pictures=pictures)

    typer.echo(f"Report: {loop.run(work()).absolute().as_uri()}")


@app.command("export")
def export(
    job: JobArgument,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file to write; else standard output.")
    ] = None,
) -> None:
    """Write what a job said of each sample, as JSON lines.

    Labels before and after have scores, sources and the votes of branches; each step has its notes.
    """
    from labelbus_cli.exporting import export as do

    if output is None:
        loop.run(do(job, sys.stdout))
        return
    with output.open("w", encoding="utf-8") as file:
        count = loop.run(do(job, file))
    typer.echo(f"{output}: {count} samples.")


@app.command("apply")
def apply(
    job: JobArgument,
    yes: YesOption = False,
    on_conflict: OnConflictOption = "hold",
    report: ReportOption = None,
    secret: Annotated[
        str | None,
        typer.Option("--secret", help="ledger:NAME, another key for a cluster's job than the preview's."),
    ] = None,
) -> None:
    """Write exactly what a preview proposed. Nothing is computed again. A cluster's job is written there."""
    from labelbus_cli.cluster_apply import apply_on_cluster, is_of_a_cluster
    from labelbus_cli.once import apply_preview

    if loop.run(is_of_a_cluster(job)):
        typer.echo(loop.run(apply_on_cluster(job, yes=yes, on_conflict=on_conflict, secret=secret)))
        return

    raise typer.Exit(loop.run(apply_preview(job, yes=yes, on_conflict=on_conflict, report=report)))
