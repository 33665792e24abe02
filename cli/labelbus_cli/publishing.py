"""Write a job's report and picture sheet to files."""

import asyncio
from functools import partial
from pathlib import Path

from labelbus_contracts.ids import ProjectId
from labelbus_labeling.cache import BlobKey
from labelbus_ledger.facts import Facts, gather
from labelbus_ledger.reports import JobRow
from labelbus_ledger.settings import LedgerSettings

from labelbus_cli.cluster_api import ClusterApi
from labelbus_cli.cluster_jobs import ClusterJobs
from labelbus_cli.errors import CommandError
from labelbus_cli.job_source import job_named
from labelbus_cli.report import FetchImage, render
from labelbus_cli.session import Session

PICTURES = 60


async def write_report(session: Session, job: JobRow, path: Path | None, *, pictures: int = PICTURES) -> Path:
    """Write the page, by default below LABELBUS_HOME, and return where it is. Raises `CommandError`.

    Pictures that the labelers of this process have read are not read again.
    """
    async with session.ledger.read() as connection:
        facts = await gather(connection, job, pictures=pictures)
    return await _written(facts, await render(facts, _pictures(session, job, facts)), path)


def _pictures(session: Session, job: JobRow, facts: Facts) -> FetchImage:
    hashes = {change.sample_id: change.facts.content_hash for change in facts.shown}

    async def fetch(sample_id: int) -> bytes:
        read = partial(session.client.image, ProjectId(job.project_id), sample_id)
        content_hash = hashes.get(sample_id)
        if content_hash is None:
            return await read()
        return await session.cache.get(BlobKey(job.project_id, sample_id, content_hash, "image"), read)

    return fetch


async def write_cluster_report(api: ClusterApi, prefix: str, path: Path | None, *, pictures: int) -> Path:
    """Write the page of a cluster's job, its pictures fetched with the job's key. Raises `CommandError`."""
    job = await job_named(ClusterJobs(api), prefix)

    async def fetch(sample_id: int) -> bytes:
        return await api.image(job.job_id, sample_id)

    facts = await api.facts(job.job_id, pictures=pictures)
    return await _written(facts, await render(facts, fetch), path)


async def _written(facts: Facts, page: str, path: Path | None) -> Path:
    job_id = facts.job.job_id
    target = path or LedgerSettings().home.expanduser() / "reports" / f"{job_id}.html"
    try:
        await asyncio.to_thread(_write, target, page)
    except OSError as error:
        raise CommandError(
            f"The report {target} cannot be written: {error.strerror}. "
            f"Write it elsewhere with `labelbus jobs report {job_id[:8]} -o FILE`."
        ) from error
    return target


def _write(path: Path, page: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
