"""Decide what a command line means: the job to submit, or the unfinished one to take up again."""

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from labelbus_contracts.ids import JobId, ProjectId, SecretName, StudioJobId
from labelbus_contracts.jobs import MAX_IDS_PER_MESSAGE, ActionSpec, JobMode, OnConflict, Selection
from labelbus_contracts.v1.commands import AddSamples, SubmitJob
from labelbus_contracts.v1.message import message_id
from labelbus_ledger.job_rows import fingerprint
from labelbus_ledger.tables import ENDED_JOB_STATES, jobs, samples
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done, under no job id yet. Without `ids` the action's data filter chooses.

    `limit` takes the newest that the filter finds, at most so many.
    """

    project_id: ProjectId
    action: ActionSpec
    ids: tuple[int, ...] | None
    mode: JobMode
    sample: int | None = None
    seed: int = 0
    studio_job_id: int | None = None
    source_job_id: JobId | None = None
    on_conflict: OnConflict = "hold"
    budget_usd: float | None = None
    limit: int | None = None

    @property
    def chosen(self) -> tuple[int, ...] | None:
        """Return the given ids, or the random part of them that was asked for, in the given order."""
        if self.ids is None or self.sample is None or self.sample >= len(self.ids):
            return self.ids
        kept = set(random.Random(self.seed).sample(self.ids, self.sample))  # noqa: S311  # repeatable on purpose
        return tuple(one for one in self.ids if one in kept)

    def submit(self, job_id: JobId, secret: SecretName, submitted_by: str) -> SubmitJob:
        """Return the command; ids beyond the first 10,000 follow by `more`."""
        chosen = self.chosen
        if chosen is None:
            selection = Selection(sample=self.sample, seed=self.seed, limit=self.limit)
        else:
            first = chosen[:MAX_IDS_PER_MESSAGE]
            selection = Selection(ids=first, more_follow=len(chosen) > len(first))
        return SubmitJob(
            id=message_id("submit_job", job_id),
            job_id=job_id,
            project_id=self.project_id,
            secret=secret,
            action=self.action,
            selection=selection,
            mode=self.mode,
            studio_job_id=StudioJobId(self.studio_job_id) if self.studio_job_id else None,
            source_job_id=self.source_job_id,
            on_conflict=self.on_conflict,
            submitted_by=submitted_by,
            budget_usd=self.budget_usd,
        )

    def more(self, job_id: JobId) -> list[AddSamples]:
        """Return the commands that bring the ids beyond the first 10,000."""
        rest = (self.chosen or ())[MAX_IDS_PER_MESSAGE:]
        starts = range(0, len(rest), MAX_IDS_PER_MESSAGE)
        return [
            AddSamples(
                id=message_id("add_samples", job_id, start),
                job_id=job_id,
                ids=rest[start : start + MAX_IDS_PER_MESSAGE],
                last=start + MAX_IDS_PER_MESSAGE >= len(rest),
            )
            for start in starts
        ]


def new_job_id() -> JobId:
    """Return a fresh id."""
    return JobId(uuid.uuid4().hex)


async def unfinished(conn: AsyncConnection, wish: Wish) -> tuple[JobId, str] | None:
    """Return the newest job with this very wish that has not ended, and its carrier.

    Equal are project, action, selection, mode, conflict rule and Studio job id; see `fingerprint`.
    """
    mark = fingerprint(wish.submit(JobId(""), SecretName(""), ""))
    query = (
        sa.select(jobs.c.job_id, jobs.c.carrier)
        .where(jobs.c.fingerprint == mark, jobs.c.state.not_in(ENDED_JOB_STATES))
        .where(jobs.c.desired_state != "cancel", jobs.c.carrier.startswith("embedded:"))
        .order_by(jobs.c.created_at.desc())
    )
    later = (wish.chosen or ())[MAX_IDS_PER_MESSAGE:]
    for row in (await conn.execute(query)).all():
        if not later or await _belongs(conn, row.job_id, wish.chosen or ()):
            return JobId(row.job_id), row.carrier
    return None


async def _belongs(conn: AsyncConnection, job_id: str, wanted: Sequence[int]) -> bool:
    """Tell whether a job has no sample beyond the wanted ones: the fingerprint sees the first ids only."""
    rows = await conn.execute(sa.select(samples.c.sample_id).where(samples.c.job_id == job_id))
    return set(rows.scalars()) <= set(wanted)
