"""Write a job's report and picture sheet to files."""

import asyncio
from pathlib import Path

from labelbus_contracts.ids import ProjectId
from labelbus_ledger.reports import JobRow
from labelbus_ledger.settings import LedgerSettings

from labelbus_cli.errors import CommandError
from labelbus_cli.report import gather, render
from labelbus_cli.session import Session

PICTURES = 60


async def write_report(session: Session, job: JobRow, path: Path | None, *, pictures: int = PICTURES) -> Path:
    """Write the page, by default below LABELBUS_HOME, and return where it is. Raises `CommandError`."""
    target = path or LedgerSettings().home.expanduser() / "reports" / f"{job.job_id}.html"

    async def fetch(sample_id: int) -> bytes:
        return await session.client.image(ProjectId(job.project_id), sample_id)

    async with session.ledger.read() as connection:
        facts = await gather(connection, job, pictures=pictures)
    page = await render(facts, fetch)
    try:
        await asyncio.to_thread(_write, target, page)
    except OSError as error:
        raise CommandError(
            f"The report {target} cannot be written: {error.strerror}. "
            f"Write it elsewhere with `labelbus jobs report {job.job_id[:8]} -o FILE`."
        ) from error
    return target


def _write(path: Path, page: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
