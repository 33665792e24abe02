"""What changes all samples of a job does so in statements that end in time."""

import pytest
import sqlalchemy as sa
from labelbus_contracts.ids import JobId
from labelbus_ledger import job_samples
from labelbus_ledger.engine import Ledger
from labelbus_ledger.tables import proposals, samples

JOB = JobId("job")


@pytest.fixture
async def staged(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Five proposed and five failed samples, by turns, with a proposal each; three to a statement."""
    monkeypatch.setattr(job_samples, "IDS_PER_STATEMENT", 3)
    states = ["proposed", "failed"] * 5
    rows = [
        {"job_id": JOB, "sample_id": nr, "position": nr, "state": one}
        for nr, one in enumerate(states, start=1)
    ]
    kept = {"job_id": JOB, "project_id": 1, "run": 1, "proposed_at": 1.0}
    async with ledger.write() as conn:
        await conn.execute(sa.insert(samples), rows)
        given = [kept | {"sample_id": nr, "base": f"b{nr}", "draft": f"d{nr}"} for nr in range(1, 11)]
        await conn.execute(sa.insert(proposals), given)
    return ledger


async def _pending(ledger: Ledger) -> list[tuple[int, int, str | None, str | None]]:
    columns = (samples.c.sample_id, samples.c.step, samples.c.base, samples.c.draft)
    query = sa.select(*columns).where(samples.c.state == "pending").order_by(samples.c.sample_id)
    async with ledger.read() as conn:
        return [tuple(row) for row in await conn.execute(query)]


@pytest.mark.parametrize("source", [None, JOB])
async def test_every_failed_sample_is_opened_again(staged: Ledger, source: JobId | None) -> None:
    """Whichever statement it falls into; one of a preview with its own proposal."""
    async with staged.write() as conn:
        await job_samples.reopen_failed(conn, JOB, source=source, steps=2)
    assert await _pending(staged) == [
        (nr, 2, f"b{nr}", f"d{nr}") if source else (nr, 0, None, None) for nr in range(2, 11, 2)
    ]


async def test_every_proposal_is_staged_again(staged: Ledger) -> None:
    """As it was, and no other sample."""
    async with staged.write() as conn:
        assert await job_samples.stage_again(conn, JOB, steps=2) == 5
    assert await _pending(staged) == [(nr, 2, f"b{nr}", f"d{nr}") for nr in range(1, 11, 2)]
