"""What the committer writes by: claims, and commits with what they found.

Every method takes many at once and is one transaction, rows in primary-key order.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from labelbus_contracts.ids import JobId, ProjectId, SampleId, SecretName
from labelbus_contracts.labels import LabelPart, LabelSet
from labelbus_contracts.v1.commands import SubmitJob
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger.claims import (
    Claim,
    ClaimAnswer,
    ClaimWish,
    CommitMark,
    Receipt,
    Release,
    SampleKey,
    Standing,
)
from labelbus_ledger.clock import now_of
from labelbus_ledger.engine import Ledger
from labelbus_ledger.tables import ENDED_JOB_STATES, claims, commits, jobs, splits

STOPPED_JOB_STATES: Final = (*ENDED_JOB_STATES, "paused", "cancelling")


class CommitterRows:
    """Takes claims, and turns them into commits."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def standings(self, keys: Sequence[SampleKey]) -> list[Standing]:
        """Return what is known of each sample."""
        async with self._ledger.read() as connection:
            claimed = await _claims(connection, keys)
            marks = await _marks(connection, keys)
        return [Standing(claimed.get(key), marks.get(key, ())) for key in keys]

    async def claim(self, wishes: Sequence[ClaimWish]) -> list[ClaimAnswer]:
        """Take the claims of those whose job runs and whose sample is as it was seen.

        The job's rows stay locked to the end of the transaction, so that a cancel sees the claim or the
        claim sees the cancel.
        """
        async with self._ledger.write() as connection:
            running = await running_jobs(connection, {wish.job_id for wish in wishes})
            allowed = [wish for wish in wishes if wish.anyway or wish.job_id in running]
            asking = sorted(allowed, key=lambda wish: wish.key)
            await self._insert_claims(connection, asking)
            stale = await _stale(connection, asking)
            tokens = await _tokens(connection, [wish.key for wish in asking])
        asked = {wish.token for wish in asking}
        return [_answer(wish, asked, tokens, stale) for wish in wishes]

    async def commit(self, receipts: Sequence[Receipt]) -> list[None]:
        """Record finished writes and give their claims back."""
        ordered = sorted(receipts, key=lambda receipt: (receipt.job_id, receipt.sample_id))
        insert = self._ledger.insert(commits)
        columns = ("run", "base", "found", "target", "changed", "committed_at", "metadata_set")
        statement = insert.on_conflict_do_update(
            index_elements=["job_id", "sample_id"],
            set_={name: insert.excluded[name] for name in columns},
            where=commits.c.run < insert.excluded.run,
        )
        async with self._ledger.write() as connection:
            now = await _now(connection)
            await connection.execute(statement, [_commit_row(receipt, now) for receipt in ordered])
            await _forget(connection, [(r.project_id, r.sample_id, r.token) for r in receipts])
        return [None] * len(receipts)

    async def release(self, releases: Sequence[Release]) -> list[None]:
        """Give claims up without a commit."""
        lapsed = [(r.project_id, r.sample_id, r.token) for r in releases if r.keep]
        async with self._ledger.write() as connection:
            await _forget(connection, [(r.project_id, r.sample_id, r.token) for r in releases if not r.keep])
            if lapsed:
                await connection.execute(sa.update(claims).where(_held(lapsed)).values(expires_at=0.0))
        return [None] * len(releases)

    async def lapse(self, process: str, *, in_s: float) -> int:
        """Let the claims of a committer that is dead lapse sooner; return how many.

        `process` begins its tokens. `in_s` is for a request of its own that is still on its way to Studio.
        """
        async with self._ledger.write() as connection:
            soon = await _now(connection) + in_s
            lapsed = 0
            for table in (claims, splits):
                its_own = table.c.token.startswith(f"{process}:", autoescape=True)
                statement = sa.update(table).where(its_own, table.c.expires_at > soon)
                lapsed += (await connection.execute(statement.values(expires_at=soon))).rowcount
            return lapsed

    async def latest_target(self, key: SampleKey, *, not_by: JobId) -> tuple[JobId, LabelSet] | None:
        """Return who last committed the sample beside `not_by`, and what."""
        query = (
            sa.select(commits.c.job_id, commits.c.target)
            .where(commits.c.project_id == key[0], commits.c.sample_id == key[1], commits.c.job_id != not_by)
            .order_by(commits.c.committed_at.desc())
            .limit(1)
        )
        async with self._ledger.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (JobId(row.job_id), LabelSet.model_validate_json(row.target))

    async def metadata_after(self, job_ids: Collection[JobId]) -> frozenset[tuple[str, str]]:
        """Return the keys and values that jobs set on all that they committed, at their end."""
        query = sa.select(jobs.c.submit).where(jobs.c.job_id.in_(sorted(job_ids)), jobs.c.submit != "")
        async with self._ledger.read() as connection:
            texts = (await connection.execute(query)).scalars().all()
        found = (SubmitJob.model_validate_json(text).action.metadata_after for text in texts)
        return frozenset(item for metadata in found for item in metadata.items())

    async def abandoned(self, *, limit: int = 100) -> list[tuple[Claim, SecretName]]:
        """Return lapsed claims whose job was cancelled or has ended, with the name of that job's secret."""
        query = (
            sa.select(claims, jobs.c.submit)
            .join(jobs, jobs.c.job_id == claims.c.job_id)
            .where(sa.or_(jobs.c.desired_state == "cancel", jobs.c.state.in_(ENDED_JOB_STATES)))
            .limit(limit)
        )
        async with self._ledger.read() as connection:
            now = await _now(connection)
            rows = (await connection.execute(query.where(claims.c.expires_at < now))).all()
        return [(_claim(row, now), SubmitJob.model_validate_json(row.submit).secret) for row in rows]

    async def _insert_claims(self, connection: AsyncConnection, wishes: Sequence[ClaimWish]) -> None:
        await _forget(
            connection,
            [(*wish.key, wish.seen.claim.token) for wish in wishes if wish.seen.claim is not None],
        )
        if wishes:
            statement = self._ledger.insert(claims).on_conflict_do_nothing()
            now = await _now(connection)
            await connection.execute(statement, [_claim_row(wish, now) for wish in wishes])


async def _now(connection: AsyncConnection) -> float:
    """Return the time by the one clock that all processes share."""
    if connection.dialect.name == "sqlite":
        return time.time()
    return float((await connection.execute(sa.select(now_of(connection)))).scalar_one())


async def _claims(connection: AsyncConnection, keys: Sequence[SampleKey]) -> dict[SampleKey, Claim]:
    query = sa.select(claims).where(_among(claims, keys))
    rows = (await connection.execute(query)).all()
    now = await _now(connection) if rows else 0.0
    found = [_claim(row, now) for row in rows]
    return {(claim.project_id, claim.sample_id): claim for claim in found}


async def _tokens(connection: AsyncConnection, keys: Sequence[SampleKey]) -> dict[SampleKey, str]:
    query = sa.select(claims.c.project_id, claims.c.sample_id, claims.c.token).where(_among(claims, keys))
    return {(row.project_id, row.sample_id): row.token for row in await connection.execute(query)}


async def _marks(
    connection: AsyncConnection, keys: Sequence[SampleKey]
) -> dict[SampleKey, tuple[CommitMark, ...]]:
    c = commits.c
    query = sa.select(c.project_id, c.sample_id, c.job_id, c.run, c.committed_at, c.changed)
    query = query.where(_among(commits, keys)).order_by(c.committed_at.desc(), c.job_id)
    marks: dict[SampleKey, tuple[CommitMark, ...]] = {}
    for row in await connection.execute(query):
        key = (row.project_id, row.sample_id)
        mark = CommitMark(JobId(row.job_id), row.run, row.committed_at, _parts(row.changed))
        marks[key] = (*marks.get(key, ()), mark)
    return marks


async def running_jobs(connection: AsyncConnection, job_ids: set[JobId]) -> set[JobId]:
    """Return which of the jobs run; they cannot stop before the transaction ends."""
    query = (
        sa.select(jobs.c.job_id, jobs.c.state, jobs.c.desired_state)
        .where(jobs.c.job_id.in_(sorted(job_ids)))
        .order_by(jobs.c.job_id)
        .with_for_update(read=True)
    )
    rows = await connection.execute(query)
    return {
        JobId(row.job_id)
        for row in rows
        if row.desired_state == "run" and row.state not in STOPPED_JOB_STATES
    }


async def _stale(connection: AsyncConnection, wishes: Sequence[ClaimWish]) -> set[str]:
    """Return the tokens of those whose sample was committed since it was looked at; their claims go.

    It is read after the claims are in: whoever held them before has recorded its commit by now.
    """
    marks = await _marks(connection, [wish.key for wish in wishes])
    stale = [wish for wish in wishes if marks.get(wish.key, ()) != wish.seen.commits]
    await _forget(connection, [(*wish.key, wish.token) for wish in stale])
    return {wish.token for wish in stale}


async def _forget(connection: AsyncConnection, held: Sequence[tuple[ProjectId, SampleId, str]]) -> None:
    if held:
        await connection.execute(sa.delete(claims).where(_held(held)))


def _answer(wish: ClaimWish, asked: set[str], tokens: dict[SampleKey, str], stale: set[str]) -> ClaimAnswer:
    if wish.token not in asked:
        return "stopped"
    if wish.token in stale:
        return "stale"
    return "taken" if tokens.get(wish.key) == wish.token else "busy"


def _among(table: sa.Table, keys: Iterable[SampleKey]) -> sa.ColumnElement[bool]:
    """Match rows of these samples, by project: SQLite finds pairs of columns in no index."""
    by_project: dict[int, set[int]] = {}
    for project_id, sample_id in keys:
        by_project.setdefault(project_id, set()).add(sample_id)
    return sa.or_(
        sa.false(),
        *(
            sa.and_(table.c.project_id == project_id, table.c.sample_id.in_(sorted(ids)))
            for project_id, ids in sorted(by_project.items())
        ),
    )


def _held(held: Sequence[tuple[ProjectId, SampleId, str]]) -> sa.ColumnElement[bool]:
    """Match the claims of these tokens, each of which is one claim's own."""
    tokens = sorted(token for *_, token in held)
    return sa.and_(_among(claims, [(one[0], one[1]) for one in held]), claims.c.token.in_(tokens))


def _claim(row: sa.Row[Any], now: float) -> Claim:
    return Claim(
        project_id=ProjectId(row.project_id),
        sample_id=SampleId(row.sample_id),
        job_id=JobId(row.job_id),
        run=row.run,
        token=row.token,
        left_s=row.expires_at - now,
        found=LabelSet.model_validate_json(row.found),
        target=LabelSet.model_validate_json(row.target),
    )


def _claim_row(wish: ClaimWish, now: float) -> dict[str, object]:
    return {
        "project_id": wish.project_id,
        "sample_id": wish.sample_id,
        "job_id": wish.job_id,
        "run": wish.run,
        "token": wish.token,
        "expires_at": now + wish.ttl_s,
        "found": wish.found.model_dump_json(),
        "target": wish.target.model_dump_json(),
    }


def _commit_row(receipt: Receipt, now: float) -> dict[str, object]:
    return {
        "job_id": receipt.job_id,
        "sample_id": receipt.sample_id,
        "project_id": receipt.project_id,
        "run": receipt.run,
        "base": receipt.base.model_dump_json(),
        "found": receipt.found.model_dump_json(),
        "target": receipt.target.model_dump_json(),
        "changed": ",".join(receipt.changed),
        "committed_at": now,
        "metadata_set": False,
    }


_PARTS: Final = TypeAdapter(tuple[LabelPart, ...])


def _parts(text: str) -> tuple[LabelPart, ...]:
    return _PARTS.validate_python(tuple(text.split(","))) if text else ()
