"""What labelers said of single samples: the model that answered, and notes for people. Reads only."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger.reports import JobRow
from labelbus_ledger.tables import label_events

_NOTES: Final = TypeAdapter(tuple[str, ...])


@dataclass(frozen=True, slots=True)
class Remark:
    """What one step said last of a sample. `step` counts places, as the sources of labels do."""

    step: int
    labeler: str
    model: str | None
    notes: tuple[str, ...]


async def remarks(
    conn: AsyncConnection, job: JobRow, sample_ids: Collection[int]
) -> dict[int, tuple[Remark, ...]]:
    """Return the remarks on samples of a job, by step; of the preview, where the job applies one.

    Of several attempts the last one that labeled the sample counts.
    """
    if not sample_ids:
        return {}
    c = label_events.c
    query = (
        sa.select(c.sample_id, c.step, c.labeler, c.model, c.notes)
        .where(
            c.job_id == (job.submit.source_job_id or job.job_id),
            c.sample_id.in_(sorted(sample_ids)),
            c.kind == "sample_labeled",
        )
        .order_by(c.sample_id, c.step, c.run, c.attempt)
    )
    last = {(row.sample_id, row.step): row for row in await conn.execute(query)}
    found: dict[int, tuple[Remark, ...]] = {}
    for (sample_id, step), row in last.items():
        remark = Remark(step, row.labeler, row.model, _notes(row.notes))
        found[sample_id] = (*found.get(sample_id, ()), remark)
    return found


async def models_of(conn: AsyncConnection, job_id: str) -> tuple[str, ...]:
    """Return the models that answered in a job, by name."""
    c = label_events.c
    query = sa.select(c.model).distinct().where(c.job_id == job_id, c.model.is_not(None)).order_by(c.model)
    return tuple((await conn.execute(query)).scalars())


def _notes(text: str | None) -> tuple[str, ...]:
    return _NOTES.validate_json(text) if text else ()
