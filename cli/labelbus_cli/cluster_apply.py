"""Apply a cluster's preview on the cluster, with the key that the preview was computed with."""

import typer
from labelbus_contracts.ids import JobId
from labelbus_contracts.jobs import OnConflict, Selection
from labelbus_contracts.v1.message import message_id
from labelbus_ledger.reports import JobRow

from labelbus_cli.asking import ask_to_write, check_somebody_answers
from labelbus_cli.cluster import publish, secret_there
from labelbus_cli.cluster_address import is_given
from labelbus_cli.job_source import JobSource, check_can_be_applied, job_named, opened_jobs
from labelbus_cli.plan import new_job_id
from labelbus_cli.session import configure_logs


async def is_of_a_cluster(prefix: str) -> bool:
    """Tell whether a job is run by a cluster rather than by one process. Raises `BadInput`."""
    if is_given():
        return True
    async with opened_jobs() as jobs:
        return not (await job_named(jobs, prefix)).is_embedded


async def apply_on_cluster(
    prefix: str, *, yes: bool, on_conflict: OnConflict, secret: str | None = None
) -> str:
    """Submit the writing of a preview's stored proposals; return the new job's id.

    `secret` names another key than the one that the preview was computed with.
    """
    configure_logs()
    other = None if secret is None else secret_there(secret)
    async with opened_jobs() as jobs:
        job = await job_named(jobs, prefix)
        check_can_be_applied(job, go_on="watch")
        check_somebody_answers(yes=yes)
        await _tell(jobs, job)
        ask_to_write(yes=yes)
    job_id = new_job_id()
    changes = {
        "id": message_id("submit_job", job_id), "job_id": job_id, "mode": "apply", "selection": Selection(),
        "source_job_id": JobId(job.job_id), "studio_job_id": None, "on_conflict": on_conflict,
        "secret": other or job.submit.secret,
    }  # fmt: skip
    return await publish([job.submit.model_copy(update=changes)])


async def _tell(jobs: JobSource, job: JobRow) -> None:
    looked = await jobs.look(job.job_id)
    proposed = 0 if looked is None else looked[1].counts.get("proposed", 0)
    typer.echo(f"Project {job.project_id}: {proposed} samples have proposals to be written.", err=True)
