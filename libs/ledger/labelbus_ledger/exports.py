"""What a job said of each sample, as lines of JSON for other programs. Reads only."""

import json
from collections.abc import AsyncIterator

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger import reports
from labelbus_ledger.engine import Ledger
from labelbus_ledger.remarks import Remark, remarks
from labelbus_ledger.reports import JobRow, Place, SampleChange


async def lines(ledger: Ledger, job: JobRow) -> AsyncIterator[str]:
    """Yield one line per proposed or committed sample; some hundred of them are held at a time.

    Whoever takes them may take their time: between pages no connection to the ledger is held.
    """
    place: Place | None = Place()
    while place is not None:
        async with ledger.read() as conn:
            page, place = await reports.page_of_changes(conn, job.job_id, place)
            found = await _page(conn, job, page)
        for line in found:
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
