"""The committer's rows: one claim at a time, and none on what has changed since it was seen."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from labelbus_contracts.ids import JobId, ProjectId, SampleId
from labelbus_contracts.labels import LabelSet
from labelbus_ledger import committer
from labelbus_ledger.claims import ClaimWish, Receipt, Release, Standing
from labelbus_ledger.committer import CommitterRows
from labelbus_ledger.tables import claims, commits

from .conftest import World

NOTHING = Standing(claim=None, commits=())
KEY = (ProjectId(1), SampleId(7))


def wish(token: str = "a", job_id: str = "job", **changes: object) -> ClaimWish:
    """Return a wish for sample 7 of project 1."""
    one = ClaimWish(
        project_id=KEY[0],
        sample_id=KEY[1],
        job_id=JobId(job_id),
        run=1,
        token=token,
        ttl_s=60.0,
        found=LabelSet(),
        target=LabelSet(disabled=True),
        seen=NOTHING,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def receipt(world: World, of: ClaimWish) -> Receipt:
    """Return the receipt of a wish that was carried out."""
    base = world.base(world.add_sample())
    return Receipt(*KEY, of.job_id, of.run, of.token, base, of.found, of.target, ("disabled",))


async def test_one_claim(world: World) -> None:
    """Of several wishes for a sample in one transaction, or later, one is granted."""
    rows = CommitterRows(world.ledger)
    assert await rows.claim([wish("a"), wish("b")]) == ["taken", "busy"]
    assert await rows.claim([wish("c")]) == ["busy"]


async def test_stale(world: World) -> None:
    """A wish that does not know of a commit gets no claim; one that does gets it."""
    rows = CommitterRows(world.ledger)
    await world.add_job("other")
    first = wish("a", "other")
    await rows.claim([first])
    await rows.commit([receipt(world, first)])
    assert await rows.claim([wish("b")]) == ["stale"]
    assert await world.rows(claims) == []
    (seen,) = await rows.standings([KEY])
    assert await rows.claim([wish("b", seen=seen)]) == ["taken"]


async def test_replaced(world: World) -> None:
    """A lapsed claim is replaced by one of those that saw it, and by nobody who saw another."""
    rows = CommitterRows(world.ledger)
    await rows.claim([wish("a")])
    await rows.release([Release(*KEY, "a", keep=True)])
    (seen,) = await rows.standings([KEY])
    assert seen.claim is not None and seen.claim.left_s <= 0
    assert await rows.claim([wish("b", seen=seen), wish("c", seen=seen)]) == ["taken", "busy"]
    assert await rows.claim([wish("d", seen=seen)]) == ["busy"]


async def test_release(world: World) -> None:
    """Only the holder of a claim gives it up."""
    rows = CommitterRows(world.ledger)
    await rows.claim([wish("a")])
    await rows.release([Release(*KEY, "b", keep=False), Release(*KEY, "b", keep=True)])
    (seen,) = await rows.standings([KEY])
    assert seen.claim is not None and 50 < seen.claim.left_s <= 60
    await rows.release([Release(*KEY, "a", keep=False)])
    assert await world.rows(claims) == []


async def test_stopped(world: World) -> None:
    """A stopped or unknown job gets no claim, unless it is to finish what was begun."""
    rows = CommitterRows(world.ledger)
    await world.stop_job()
    assert await rows.claim([wish("a"), wish("b", "unknown")]) == ["stopped", "stopped"]
    assert await rows.claim([wish("a", anyway=True)]) == ["taken"]


async def test_runs(world: World) -> None:
    """A later run's commit replaces an earlier one's; a repetition of the earlier one changes nothing."""
    rows = CommitterRows(world.ledger)
    first, second = receipt(world, wish("a")), receipt(world, wish("b", run=2))
    await rows.commit([first])
    await rows.commit([second])
    await rows.commit([first])
    (row,) = await world.rows(commits)
    assert row["run"] == 2


@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)  # PostgreSQL reads small tables whole, rightly
async def test_look_ups_use_an_index(world: World) -> None:
    """Looking up samples never reads a whole table: a batch costs the same in a ledger of millions."""
    keys = [KEY, (ProjectId(2), SampleId(8))]
    for table in (claims, commits):
        query = sa.select(table).where(committer._among(table, keys))
        text = str(query.compile(compile_kwargs={"literal_binds": True}))
        async with world.ledger.read() as connection:
            plan = (await connection.execute(sa.text(f"EXPLAIN QUERY PLAN {text}"))).all()
        assert not [row for row in plan if str(row[3]).startswith("SCAN")]


async def test_claims_of_a_dead_process_lapse(world: World) -> None:
    """Those of its own tokens end sooner, whatever job they are for; a living one's stay."""
    rows = CommitterRows(world.ledger)
    other = (KEY[0], SampleId(8))
    await rows.claim([wish("dead:1"), wish("deadlier:1", sample_id=other[1])])
    assert await rows.lapse("dead", in_s=0.0) == 1
    dead, living = await rows.standings([KEY, other])
    assert dead.claim is not None and dead.claim.left_s <= 0
    assert living.claim is not None and living.claim.left_s > 50
    assert await rows.lapse("dead", in_s=60.0) == 0
