"""What the committer keeps beside claims and commits: proposals, label events, which samples have metadata.

Every method is one transaction; those that take many write rows in primary-key order.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from labelbus_contracts.ids import JobId, ProjectId, SampleId
from labelbus_contracts.labels import Base, LabelSet
from labelbus_contracts.v1.events import LabelEvent, SampleFailed, SampleLabeled, SampleSkipped
from pydantic import TypeAdapter

from labelbus_ledger.engine import Ledger
from labelbus_ledger.tables import commits, label_events, proposals

_KEEP_REASON: Final = 2000
_KEEP_MODEL: Final = 200
_NOTES: Final = TypeAdapter(tuple[str, ...])


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a job suggests for a sample."""

    job_id: JobId
    run: int
    project_id: ProjectId
    sample_id: SampleId
    base: Base
    draft: LabelSet
    studio_job_id: int | None


class Records:
    """Writes the committer's records."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def propose(self, stored: Sequence[Proposal]) -> list[None]:
        """Store proposals; a later run's replaces an earlier one's."""
        now = time.time()
        insert = self._ledger.insert(proposals)
        columns = ("project_id", "run", "base", "draft", "proposed_at", "studio_job_id")
        statement = insert.on_conflict_do_update(
            index_elements=["job_id", "sample_id"],
            set_={name: insert.excluded[name] for name in columns},
            where=proposals.c.run <= insert.excluded.run,
        )
        ordered = sorted(stored, key=lambda proposal: (proposal.job_id, proposal.sample_id))
        async with self._ledger.write() as connection:
            await connection.execute(statement, [_proposal_row(proposal, now) for proposal in ordered])
        return [None] * len(stored)

    async def record(self, events: Sequence[LabelEvent]) -> list[None]:
        """Record label events once each."""
        now = time.time()
        unique = {event.id: event for event in events}
        rows = [_event_row(unique[message_id], now) for message_id in sorted(unique)]
        statement = self._ledger.insert(label_events).on_conflict_do_nothing()
        async with self._ledger.write() as connection:
            await connection.execute(statement, rows)
        return [None] * len(events)

    async def without_metadata(self, job_id: JobId, *, after: int, limit: int) -> list[SampleId]:
        """Return the next committed samples of a job that still lack its metadata, by id."""
        query = (
            sa.select(commits.c.sample_id)
            .where(commits.c.job_id == job_id, ~commits.c.metadata_set, commits.c.sample_id > after)
            .order_by(commits.c.sample_id)
            .limit(limit)
        )
        async with self._ledger.read() as connection:
            return [SampleId(row.sample_id) for row in await connection.execute(query)]

    async def metadata_is_set(self, job_id: JobId, ids: Sequence[SampleId]) -> None:
        """Remember that these samples have their job's metadata."""
        statement = sa.update(commits).where(commits.c.job_id == job_id, commits.c.sample_id.in_(sorted(ids)))
        async with self._ledger.write() as connection:
            await connection.execute(statement.values(metadata_set=True))

    async def count_with_metadata(self, job_id: JobId) -> int:
        """Count the committed samples of a job that have its metadata."""
        query = sa.select(sa.func.count()).where(commits.c.job_id == job_id, commits.c.metadata_set)
        async with self._ledger.read() as connection:
            return (await connection.execute(query)).scalar_one()


def _proposal_row(proposal: Proposal, now: float) -> dict[str, object]:
    return {
        "job_id": proposal.job_id,
        "sample_id": proposal.sample_id,
        "project_id": proposal.project_id,
        "run": proposal.run,
        "base": proposal.base.model_dump_json(),
        "draft": proposal.draft.model_dump_json(),
        "proposed_at": now,
        "studio_job_id": proposal.studio_job_id,
    }


def _event_row(event: LabelEvent, now: float) -> dict[str, object]:
    row: dict[str, object] = {
        "message_id": event.id,
        "job_id": event.job_id,
        "run": event.run,
        "sample_id": event.sample_id,
        "step": event.step,
        "attempt": event.attempt,
        "kind": event.kind,
        "labeler": event.labeler,
        "model": None,
        "code": event.code if isinstance(event, SampleFailed) else None,
        "reason": None,
        "notes": None,
        "seconds": 0.0,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_usd": 0.0,
        "recorded_at": now,
    }
    if isinstance(event, SampleFailed | SampleSkipped):
        row["reason"] = event.reason[:_KEEP_REASON]
    if isinstance(event, SampleLabeled) and event.model:
        row["model"] = event.model[:_KEEP_MODEL]
    if isinstance(event, SampleLabeled) and event.notes:
        row["notes"] = _NOTES.dump_json(event.notes).decode()
    if isinstance(event, SampleLabeled | SampleFailed):
        row |= event.usage.model_dump()
    return row
