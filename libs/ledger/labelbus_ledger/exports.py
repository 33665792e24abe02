"""What a job said of each sample, as lines of JSON for other programs. Reads only."""

import json
from collections.abc import AsyncIterator
from typing import Final

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger import reports
from labelbus_ledger.remarks import Remark, remarks
from labelbus_ledger.reports import JobRow, SampleChange

_AT_ONCE: Final = 500


async def lines(conn: AsyncConnection, job: JobRow) -> AsyncIterator[str]:
    """Yield one line per proposed or committed sample; some hundred of them are held at a time."""
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
