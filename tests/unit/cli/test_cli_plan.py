"""What a command line means: selections, equal wishes, owners, accuracy."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from labelbus_cli.accuracy import accuracy
from labelbus_cli.ownership import lapse_claims, owner_of, process_lease
from labelbus_cli.plan import Wish
from labelbus_contracts.ids import JobId, ProjectId, SecretName
from labelbus_contracts.jobs import ActionSpec, StepSpec
from labelbus_contracts.labels import BoundingBox
from labelbus_ledger.engine import Ledger, LedgerSettings
from labelbus_ledger.job_rows import fingerprint
from labelbus_ledger.tables import claims, leases
from pydantic import SecretStr

ACTION = ActionSpec(name="a", steps=(StepSpec(labeler="finder"),))


def wish(ids: tuple[int, ...] | None = None, **more: object) -> Wish:
    return Wish(project_id=ProjectId(1), action=ACTION, ids=ids, mode="preview", **more)  # type: ignore[arg-type]


def mark(one: Wish) -> str:
    return fingerprint(one.submit(JobId("x"), SecretName("env:K"), "me"))


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """Give an empty ledger."""
    opened = await Ledger.open(LedgerSettings(database_url=SecretStr(f"sqlite:///{tmp_path}/ledger.db")))
    yield opened
    await opened.close()


def test_many_ids_travel_in_parts() -> None:
    """10,000 go with the job, the rest follows, the last part says so."""
    asked = wish(tuple(range(1, 25_002)))
    job_id = JobId("j")
    submit, more = asked.submit(job_id, SecretName("env:K"), ""), asked.more(job_id)
    assert submit.selection.ids is not None
    assert (len(submit.selection.ids), submit.selection.more_follow) == (10_000, True)
    assert [(len(part.ids), part.last) for part in more] == [(10_000, False), (5_001, True)]


def test_a_part_is_random_and_repeatable() -> None:
    """The same seed takes the same ids, in the order given; another seed others."""
    ids = tuple(range(1000))
    one, again = wish(ids, sample=20, seed=3).chosen, wish(ids, sample=20, seed=3).chosen
    assert one == again == tuple(sorted(one or ()))
    assert wish(ids, sample=20, seed=4).chosen != one


def test_equal_wishes_have_equal_fingerprints() -> None:
    """Project, action, selection, mode and Studio job decide; the submitter does not."""
    assert mark(wish((1, 2))) == mark(wish((1, 2)))
    others = [wish((2, 1)), wish(), wish((1, 2), studio_job_id=5), wish((1, 2), on_conflict="overwrite")]
    assert len({mark(wish((1, 2))), *map(mark, others)}) == 5


async def test_a_living_process_owns_its_jobs(ledger: Ledger) -> None:
    """While the lease runs and the process lives, its jobs are left to it."""
    lease = process_lease(ledger, "embedded:x")
    await lease.acquire_or_renew()
    async with ledger.read() as conn:
        owner = await owner_of(conn, "embedded:x")
        assert await owner_of(conn, "embedded:other") is None
    assert owner is not None
    assert (owner.pid, owner.may_live) == (os.getpid(), True)


async def test_a_killed_process_of_this_machine_owns_nothing(ledger: Ledger) -> None:
    """Its lease has not lapsed, but its number is nobody's, or another process's."""
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await ended.wait()
    await process_lease(ledger, "embedded:x").acquire_or_renew()
    for pid in (ended.pid, os.getpid()):
        async with ledger.write() as conn:
            holder = await conn.scalar(sa.select(leases.c.holder))
            host = str(holder).rpartition("|")[0]
            await conn.execute(sa.update(leases).values(holder=f"{host}|{pid}.1"))
            owner = await owner_of(conn, "embedded:x")
        assert owner is not None
        assert not owner.may_live


async def test_what_a_process_left_half_written_is_waited_for_only_while_it_lives(ledger: Ledger) -> None:
    """A process that gave its jobs up, as at a second Ctrl-C, has nothing on its way after a second."""
    lease, now = process_lease(ledger, "embedded:x-y"), time.time()
    claim = {"project_id": 1, "sample_id": 2, "job_id": "job", "run": 1, "found": "{}", "target": "{}"}
    async with ledger.write() as conn:
        await conn.execute(sa.insert(claims), claim | {"token": "xy:1", "expires_at": now + 60})
    await lease.acquire_or_renew()
    assert await lapse_claims(ledger, "embedded:x-y") == 0
    await lease.release()
    assert await lapse_claims(ledger, "embedded:x-y") == 1
    async with ledger.read() as conn:
        assert (await conn.execute(sa.select(claims.c.expires_at))).scalar_one() < now + 30


def box(label: str, x: int, width: int = 10) -> BoundingBox:
    return BoundingBox(label=label, x=x, y=0, width=width, height=10)


def test_accuracy_pairs_each_box_once() -> None:
    """Two boxes on one object are one right and one wrong; another label never meets."""
    found = accuracy([box("a", 0), box("a", 1), box("b", 50)], [box("a", 0), box("a", 50)])
    assert (found.found, found.wanted, found.right) == (3, 2, 1)
    assert found.precision == pytest.approx(1 / 3)
    assert found.recall == 0.5
