"""What a job said of each sample is handed out page by page."""

import json
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from labelbus_contracts.ids import JobId, ProjectId, SecretName
from labelbus_contracts.jobs import ActionSpec, StepSpec
from labelbus_contracts.labels import Base, ClassLabel, LabelSet, SampleFacts
from labelbus_contracts.v1.commands import SubmitJob
from labelbus_ledger import reports
from labelbus_ledger.engine import Ledger
from labelbus_ledger.exports import lines
from labelbus_ledger.reports import JobRow
from labelbus_ledger.tables import commits, jobs, proposals

JOB = JobId("job")
BASE = Base(
    sample=SampleFacts(), labels=LabelSet(), read_at=datetime(2026, 1, 1, tzinfo=UTC)
).model_dump_json()
AFTER = LabelSet(label=ClassLabel(label="cat")).model_dump_json()


@pytest.fixture
async def job(ledger: Ledger) -> JobRow:
    """A job of six samples, two of them written, and pages of two."""
    action = ActionSpec(name="a", steps=(StepSpec(labeler="finder"),))
    submit = SubmitJob(
        id="s", job_id=JOB, project_id=ProjectId(1), secret=SecretName("env:KEY"), action=action
    )
    common = {"job_id": JOB, "project_id": 1, "run": 1, "base": BASE}
    proposed = [common | {"sample_id": nr, "draft": AFTER, "proposed_at": 1.0} for nr in range(1, 7)]
    after = {"found": LabelSet().model_dump_json(), "target": AFTER, "committed_at": 1.0}
    written = [common | after | {"sample_id": nr} for nr in (2, 5)]
    async with ledger.write() as conn:
        row = {"carrier": "c", "state": "running", "fingerprint": "f", "created_at": 1.0, "changed_at": 1.0}
        row |= {"job_id": JOB, "project_id": 1, "submit": submit.model_dump_json(), "action_name": "a"}
        await conn.execute(sa.insert(jobs).values(row | {"mode": "preview"}))
        await conn.execute(sa.insert(proposals), proposed)
        await conn.execute(sa.insert(commits), written)
        found = await reports.find_job(conn, JOB)
    assert found is not None
    return found


async def test_every_sample_is_a_line(ledger: Ledger, job: JobRow, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written comes first and once, then what is proposed, over the bounds of pages."""
    monkeypatch.setattr(reports, "_PAGE", 2)
    said = [json.loads(line) async for line in lines(ledger, job)]
    assert [(one["sample_id"], one["written"]) for one in said] == [
        (2, True), (5, True), (1, False), (3, False), (4, False), (6, False),
    ]  # fmt: skip


async def test_who_takes_lines_slowly_holds_no_connection(ledger: Ledger, job: JobRow) -> None:
    """A client that stalls must not keep the dispatcher from its ledger."""
    slow = lines(ledger, job)
    assert await anext(slow)
    assert ledger._engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert len([line async for line in slow]) == 5
