"""Write what a job said of each sample as lines of JSON, for other programs."""

import json
from collections.abc import AsyncIterator
from typing import Final, TextIO

from labelbus_ledger import reports
from labelbus_ledger.remarks import Remark, remarks
from labelbus_ledger.reports import JobRow, SampleChange
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_cli.cluster_api import is_given
from labelbus_cli.errors import BadInput
from labelbus_cli.once import job_of
from labelbus_cli.session import opened_ledger

_AT_ONCE: Final = 500


async def export(prefix: str, out: TextIO) -> int:
    """Write one line per proposed or committed sample of a job, by id; return how many. Raises `BadInput`."""
    if is_given():
        raise BadInput(
            "An export reads the ledger, not the cluster's API. Unset LABELBUS_URL, and name the cluster's "
            "ledger by LABELBUS_DATABASE_URL."
        )
    count = 0
    async with opened_ledger() as ledger:
        job = await job_of(ledger, prefix)
        async with ledger.read() as conn:
            async for line in lines(conn, job):
                out.write(line + "\n")
                count += 1
    return count


async def lines(conn: AsyncConnection, job: JobRow) -> AsyncIterator[str]:
    """Yield the lines. Holds some hundred samples in memory, whatever the size of the job."""
    page: list[SampleChange] = []
    async for change in reports.changes(conn, job.job_id):
        page.append(change)
        if len(page) == _AT_ONCE:
            for line in await _page(conn, job, page):
                yield line
            page = []
    for line in await _page(conn, job, page):
        yield line


async def _page(conn: AsyncConnection, job: JobRow, page: list[SampleChange]) -> list[str]:
    said = await remarks(conn, job, {change.sample_id for change in page})
    return [_line(change, said.get(change.sample_id, ())) for change in page]


def _line(change: SampleChange, said: tuple[Remark, ...]) -> str:
    document: dict[str, JsonValue] = {
        "sample_id": change.sample_id,
        "filename": change.facts.filename,
        "written": change.written,
        "before": change.before.model_dump(mode="json", exclude_defaults=True),
        "after": change.after.model_dump(mode="json", exclude_defaults=True),
        "steps": [
            {"step": one.step, "labeler": one.labeler, "model": one.model, "notes": list(one.notes)}
            for one in said
        ],
    }
    return json.dumps(document, ensure_ascii=False)
