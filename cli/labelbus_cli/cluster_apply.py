"""Apply a cluster's preview on the cluster, with the key that the preview was computed with."""

import sys

import typer
from labelbus_contracts.ids import JobId, SecretName
from labelbus_contracts.jobs import OnConflict, Selection
from labelbus_contracts.v1.message import message_id
from labelbus_ledger.reports import JobRow

from labelbus_cli.cluster import publish
from labelbus_cli.cluster_api import is_given
from labelbus_cli.errors import BadInput, CommandError
from labelbus_cli.job_source import JobSource, job_named, opened_jobs
from labelbus_cli.plan import new_job_id
from labelbus_cli.session import configure_logs


async def is_of_a_cluster(prefix: str) -> bool:
    """Tell whether a job is run by a cluster rather than by one process. Raises `BadInput`."""
    if is_given():
        return True
    async with opened_jobs() as jobs:
        return not (await job_named(jobs, prefix)).carrier.startswith("embedded:")


async def apply_on_cluster(
    prefix: str, *, yes: bool, on_conflict: OnConflict, secret: str | None = None
) -> str:
    """Submit the writing of a preview's stored proposals; return the new job's id.

    `secret` names another key than the one that the preview was computed with.
    """
    configure_logs()
    if secret is not None and not secret.startswith("ledger:"):
        raise BadInput("A cluster finds keys in the ledger only: store one with `labelbus secrets put`.")
    async with opened_jobs() as jobs:
        job = await job_named(jobs, prefix)
        _refuse(job)
        await _ask(jobs, job, yes=yes)
    job_id = new_job_id()
    changes = {
        "id": message_id("submit_job", job_id), "job_id": job_id, "mode": "apply", "selection": Selection(),
        "source_job_id": JobId(job.job_id), "studio_job_id": None, "on_conflict": on_conflict,
        "secret": SecretName(secret) if secret else job.submit.secret,
    }  # fmt: skip
    return await publish([job.submit.model_copy(update=changes)])


def _refuse(job: JobRow) -> None:
    if job.mode != "preview":
        raise BadInput(f"Job {job.job_id} was applied already; only a preview can be applied.")
    if job.ended_at is None:
        raise BadInput(
            f"Job {job.job_id} is {job.state}. Let it end first: `labelbus jobs watch {job.job_id}`."
        )


async def _ask(jobs: JobSource, job: JobRow, *, yes: bool) -> None:
    looked = await jobs.look(job.job_id)
    proposed = 0 if looked is None else looked[1].counts.get("proposed", 0)
    typer.echo(f"Project {job.project_id}: {proposed} samples have proposals to be written.", err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInput("Nobody can be asked whether to write: stdin is no terminal. Give --yes.")
    if not typer.confirm("Write to Studio?", err=True):
        raise CommandError("Nothing was written.")
