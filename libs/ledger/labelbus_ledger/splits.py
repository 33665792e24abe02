"""Videos that are split into frames: who does it, since when, by which job of Studio's, and what came of it.

The committer's. A row outlives its split, so that the same video is never split twice. Studio tells frames
by their names alone, so of videos whose frames may be named alike (`walk`, `walk-2`) one is split at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import sqlalchemy as sa
from labelbus_contracts.ids import JobId, ProjectId, SampleId, StudioJobId
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_ledger.clock import now_of
from labelbus_ledger.committer import running_jobs
from labelbus_ledger.engine import Ledger
from labelbus_ledger.tables import splits

_IDS: TypeAdapter[tuple[int, ...]] = TypeAdapter(tuple[int, ...])
_LOCK: Final = 7405872
"""The first number of our advisory locks in PostgreSQL; a project's is the second."""
Begun: TypeAlias = Literal["taken", "busy", "stopped", "named_alike"]


@dataclass(frozen=True, slots=True)
class Split:
    """One video's split. Its holder may work at it for `left_s` more; `asked_s` ago it was begun.

    Frames have ids above `after_id`; `frames` is None until the video is split.
    """

    project_id: ProjectId
    sample_id: SampleId
    job_id: JobId
    token: str
    left_s: float
    asked_s: float
    after_id: int
    studio_job_id: StudioJobId | None = None
    frames: tuple[int, ...] | None = None


def is_named_after(name: str, stem: str) -> bool:
    """Tell whether a frame of this name may be of the video: `clip.1` of `clip`, but not `clip2.1`."""
    return name.startswith(stem) and not name[len(stem) :][:1].isalnum()


class SplitRows:
    """Reads and writes of the table. All methods raise `Unavailable`."""

    def __init__(self, ledger: Ledger, *, longest_s: float) -> None:
        """Take the ledger, and how long a split that nobody has finished may still make frames."""
        self._ledger = ledger
        self._longest_s = longest_s

    async def find(self, project_id: ProjectId, sample_id: SampleId) -> Split | None:
        """Return what is known of a video's split."""
        query = sa.select(splits).where(splits.c.project_id == project_id, splits.c.sample_id == sample_id)
        async with self._ledger.read() as connection:
            row = (await connection.execute(query)).one_or_none()
            return None if row is None else _split(row, await _now(connection))

    async def begin(
        self,
        project_id: ProjectId,
        sample_id: SampleId,
        *,
        job_id: JobId,
        run: int,
        token: str,
        ttl_s: float,
        after_id: int,
        stem: str,
    ) -> Begun:
        """Take a video that nobody has begun, for a job that runs. `stem` begins its frames' names."""
        async with self._ledger.write() as connection:
            if job_id not in await running_jobs(connection, {job_id}):
                return "stopped"
            if await self._is_rivalled(connection, project_id, sample_id, stem):
                return "named_alike"
            now = await _now(connection)
            values = {
                "project_id": project_id, "sample_id": sample_id, "job_id": job_id, "run": run,
                "token": token, "expires_at": now + ttl_s, "after_id": after_id, "asked_at": now,
                "stem": stem,
            }  # fmt: skip
            statement = self._ledger.insert(splits).values(values).on_conflict_do_nothing()
            made = await connection.execute(statement.returning(splits.c.token))
            return "busy" if made.first() is None else "taken"

    async def take_over(
        self, split: Split, *, job_id: JobId, run: int, token: str, ttl_s: float, stem: str
    ) -> Begun:
        """Take what somebody else has begun and given up, for a job that runs."""
        async with self._ledger.write() as connection:
            if job_id not in await running_jobs(connection, {job_id}):
                return "stopped"
            if await self._is_rivalled(connection, split.project_id, split.sample_id, stem):
                return "named_alike"
            expires_at = await _now(connection) + ttl_s
            statement = sa.update(splits).where(*_held(split, split.token))
            values = {"token": token, "expires_at": expires_at, "job_id": job_id, "run": run, "stem": stem}
            made = await connection.execute(statement.values(values))
            return "taken" if made.rowcount == 1 else "busy"

    async def ask_again(self, split: Split) -> None:
        """Remember that Studio is asked now, once more."""
        async with self._ledger.write() as connection:
            statement = sa.update(splits).where(*_held(split, split.token))
            await connection.execute(statement.values(asked_at=await _now(connection)))

    async def note_job(self, split: Split, studio_job_id: int) -> None:
        """Remember which of Studio's jobs splits the video."""
        async with self._ledger.write() as connection:
            statement = sa.update(splits).where(*_held(split, split.token))
            await connection.execute(statement.values(studio_job_id=studio_job_id))

    async def finish(self, split: Split, frames: Sequence[int]) -> None:
        """Remember the frames."""
        async with self._ledger.write() as connection:
            text = _IDS.dump_json(tuple(frames)).decode()
            await connection.execute(sa.update(splits).where(*_held(split, split.token)).values(frames=text))

    async def release(self, split: Split, *, is_over: bool = False) -> None:
        """Give it up for now: whoever comes next looks what has become of the video.

        `is_over` tells that Studio makes no more frames of it: others named alike need not wait.
        """
        values = {"expires_at": 0.0} | ({"stem": None} if is_over else {})
        async with self._ledger.write() as connection:
            await connection.execute(sa.update(splits).where(*_held(split, split.token)).values(values))

    async def forget(self, split: Split) -> None:
        """Forget a split that has certainly not happened, so that it may be begun anew."""
        async with self._ledger.write() as connection:
            await connection.execute(sa.delete(splits).where(*_held(split, split.token)))

    async def frames_of_others(self, split: Split, stem: str) -> set[int]:
        """Return the frames of other videos that are named after this one too, or after whom this one is."""
        query = sa.select(splits.c.stem, splits.c.frames).where(
            *_others(split.project_id, split.sample_id), splits.c.frames.is_not(None)
        )
        async with self._ledger.read() as connection:
            rows = (await connection.execute(query)).all()
        return {one for row in rows if _are_alike(row.stem, stem) for one in _IDS.validate_json(row.frames)}

    async def _is_rivalled(
        self, connection: AsyncConnection, project_id: ProjectId, sample_id: SampleId, stem: str
    ) -> bool:
        """Tell whether a video whose frames may be named alike is being split, until the transaction ends."""
        if self._ledger.dialect == "postgresql":
            lock = sa.func.pg_advisory_xact_lock(_LOCK, sa.cast(project_id % 2**31, sa.Integer))
            await connection.execute(sa.select(lock))
        query = sa.select(splits.c.stem).where(
            *_others(project_id, sample_id),
            splits.c.frames.is_(None),
            splits.c.asked_at > now_of(connection) - self._longest_s,
        )
        return any(_are_alike(other, stem) for other in (await connection.execute(query)).scalars())


def _others(project_id: ProjectId, sample_id: SampleId) -> tuple[sa.ColumnElement[bool], ...]:
    return splits.c.project_id == project_id, splits.c.sample_id != sample_id, splits.c.stem.is_not(None)


def _are_alike(one: str, other: str) -> bool:
    return is_named_after(one, other) or is_named_after(other, one)


def _held(split: Split, token: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        splits.c.project_id == split.project_id,
        splits.c.sample_id == split.sample_id,
        splits.c.token == token,
    )


def _split(row: sa.Row[tuple[object, ...]], now: float) -> Split:
    found = row._mapping
    return Split(
        project_id=found["project_id"],
        sample_id=found["sample_id"],
        job_id=found["job_id"],
        token=found["token"],
        left_s=found["expires_at"] - now,
        asked_s=now - found["asked_at"],
        after_id=found["after_id"],
        studio_job_id=found["studio_job_id"],
        frames=None if found["frames"] is None else _IDS.validate_json(found["frames"]),
    )


async def _now(connection: AsyncConnection) -> float:
    return float((await connection.execute(sa.select(now_of(connection)))).scalar_one())
