"""What the dispatcher writes of jobs. Every statement of it is here.

Functions take an open connection; the caller's transaction is the unit. Times are unix seconds in UTC.
A transaction that changes both locks jobs before samples, and either in the order of its keys: PostgreSQL
would break deadlocks otherwise.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import sqlalchemy as sa
from labelbus_contracts.ids import JobId, ProjectId
from labelbus_contracts.jobs import JobMode
from labelbus_contracts.v1.commands import SubmitJob
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger.engine import Ledger
from labelbus_ledger.tables import (
    ENDED_JOB_STATES,
    OPEN_JOB_STATES,
    DesiredState,
    JobState,
    jobs,
    leases,
)

_EMBEDDED = "embedded:%"


@dataclass(frozen=True, slots=True)
class JobHead:
    """A job's row without its command."""

    job_id: JobId
    project_id: ProjectId
    carrier: str
    mode: JobMode
    weight: int
    state: JobState
    desired_state: DesiredState
    reason: str
    run: int
    selected: bool
    cursor: str | None
    total: int
    failures: int
    changed_at: float
    finish_sent_at: float | None

    @property
    def has_ended(self) -> bool:
        """Tell whether nothing happens to the job any more, unless it is resumed."""
        return self.state in ENDED_JOB_STATES

    @property
    def runs(self) -> bool:
        """Tell whether its samples may be worked on."""
        return self.desired_state == "run" and not self.has_ended


_HEAD = tuple(jobs.c[field.name] for field in fields(JobHead))


def fingerprint(submit: SubmitJob) -> str:
    """Return a stable hash of what a job does and to what, whoever submits it and under whichever id.

    What it may cost does not count: a job goes on with a higher budget.
    """
    what = submit.model_dump_json(
        include={
            "project_id",
            "action",
            "selection",
            "mode",
            "studio_job_id",
            "source_job_id",
            "on_conflict",
        },
        exclude={"action": {"budget_usd"}},
    )
    return hashlib.sha256(what.encode()).hexdigest()


async def insert_job(
    ledger: Ledger, conn: AsyncConnection, submit: SubmitJob, *, carrier: str, state: JobState, now: float
) -> bool:
    """Insert a job; answer False where its id is taken."""
    values = _job_values(submit, carrier=carrier, state=state, now=now)
    statement = ledger.insert(jobs).values(values).on_conflict_do_nothing().returning(jobs.c.job_id)
    return (await conn.execute(statement)).first() is not None


async def insert_tombstone(
    ledger: Ledger, conn: AsyncConnection, job_id: JobId, *, carrier: str, reason: str, now: float
) -> None:
    """Remember that a job was cancelled before it came. Its `submit` stays empty until then."""
    values = {
        "job_id": job_id, "project_id": 0, "carrier": carrier, "submit": "", "fingerprint": "",
        "action_name": "", "mode": "preview", "weight": 1, "state": "cancelled", "desired_state": "cancel",
        "reason": reason, "run": 1, "selected": True, "total": 0, "failures": 0, "created_at": now,
        "ended_at": now, "changed_at": now,
    }  # fmt: skip
    await conn.execute(ledger.insert(jobs).values(values).on_conflict_do_nothing())


async def fill_tombstone(conn: AsyncConnection, submit: SubmitJob) -> None:
    """Tell what the job would have been that was cancelled before it came."""
    values = {
        "project_id": submit.project_id, "submit": submit.model_dump_json(), "mode": submit.mode,
        "fingerprint": fingerprint(submit), "action_name": submit.action.shown_name,
        "weight": submit.weight,
    }  # fmt: skip
    await conn.execute(
        sa.update(jobs).where(jobs.c.job_id == submit.job_id, jobs.c.submit == "").values(values)
    )


async def job_heads(conn: AsyncConnection, job_ids: Collection[JobId]) -> dict[JobId, JobHead]:
    """Return the rows of the jobs that exist."""
    found = await conn.execute(sa.select(*_HEAD).where(jobs.c.job_id.in_(sorted(job_ids))))
    return {row[0]: JobHead(*row) for row in found}


async def job_head(conn: AsyncConnection, job_id: JobId, *, lock: bool = False) -> JobHead | None:
    """Return one job's row; `lock` keeps it until the transaction ends, on PostgreSQL."""
    query = sa.select(*_HEAD).where(jobs.c.job_id == job_id)
    row = (await conn.execute(query.with_for_update() if lock else query)).first()
    return None if row is None else JobHead(*row)


async def lock_jobs(conn: AsyncConnection, job_ids: Collection[JobId]) -> dict[JobId, JobHead]:
    """Return the rows of the jobs that exist, locked in the order of their keys, on PostgreSQL."""
    if not job_ids:
        return {}
    query = sa.select(*_HEAD).where(jobs.c.job_id.in_(sorted(job_ids))).order_by(jobs.c.job_id)
    found = await conn.execute(query.with_for_update())
    return {row[0]: JobHead(*row) for row in found}


async def open_jobs(conn: AsyncConnection, carrier: str) -> list[JobHead]:
    """Return the jobs of a carrier that have not ended, oldest first."""
    query = (
        sa.select(*_HEAD)
        .where(jobs.c.carrier == carrier, jobs.c.state.in_(OPEN_JOB_STATES))
        .order_by(jobs.c.created_at, jobs.c.job_id)
    )
    return [JobHead(*row) for row in await conn.execute(query)]


async def submit_of(conn: AsyncConnection, job_id: JobId) -> SubmitJob | None:
    """Return the command that made a job; None for a tombstone, or where there is no such job."""
    text = (await conn.execute(sa.select(jobs.c.submit).where(jobs.c.job_id == job_id))).scalar()
    return SubmitJob.model_validate_json(text) if text else None


async def change_submit(conn: AsyncConnection, head: JobHead, submit: SubmitJob) -> JobHead:
    """Replace the command that made a job, as another run of the job; return its new row."""
    values = {"submit": submit.model_dump_json(), "fingerprint": fingerprint(submit)}
    return await change_job(conn, head, run=head.run + 1, **values)


async def change_job(conn: AsyncConnection, head: JobHead, **changes: Any) -> JobHead:
    """Write some columns of a job and return its new row. Pass `changed_at` where workers must know."""
    await conn.execute(sa.update(jobs).where(jobs.c.job_id == head.job_id).values(changes))
    return replace(head, **{name: value for name, value in changes.items() if name in JobHead.__slots__})


async def add_failures(conn: AsyncConnection, failures: Mapping[JobId, int]) -> None:
    """Count failed samples of jobs."""
    for job_id, number in sorted(failures.items()):
        statement = sa.update(jobs).where(jobs.c.job_id == job_id)
        await conn.execute(statement.values(failures=jobs.c.failures + number))


async def abandoned(conn: AsyncConnection, *, now: float, not_by: str) -> list[JobHead]:
    """Return the unfinished jobs of embedded processes whose lease has lapsed."""
    alive = sa.exists().where(leases.c.name == "process:" + jobs.c.carrier, leases.c.expires_at > now)
    query = sa.select(*_HEAD).where(open_embedded(), jobs.c.carrier != not_by, ~alive)
    return [JobHead(*row) for row in await conn.execute(query)]


def open_embedded() -> sa.ColumnElement[bool]:
    """Match the unfinished jobs of embedded processes; their carriers are read from the index alone."""
    unfinished = jobs.c.state.in_(OPEN_JOB_STATES)
    found = jobs.alias()
    carriers = sa.select(found.c.carrier).where(
        found.c.carrier.like(_EMBEDDED), found.c.state.in_(OPEN_JOB_STATES)
    )
    return sa.and_(jobs.c.carrier.in_(carriers), unfinished)


def _job_values(submit: SubmitJob, *, carrier: str, state: JobState, now: float) -> dict[str, Any]:
    return {
        "job_id": submit.job_id, "project_id": submit.project_id, "carrier": carrier,
        "submit": submit.model_dump_json(), "fingerprint": fingerprint(submit),
        "action_name": submit.action.shown_name, "mode": submit.mode, "weight": submit.weight, "state": state,
        "desired_state": "run", "reason": "", "run": 1, "selected": False, "total": 0, "failures": 0,
        "created_at": now, "changed_at": now,
    }  # fmt: skip
