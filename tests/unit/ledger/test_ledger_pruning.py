"""The SQL that the documents give for old jobs."""

import re
from pathlib import Path

import sqlalchemy as sa
from labelbus_ledger.engine import Ledger
from labelbus_ledger.tables import budgets, commits, jobs, label_events, metadata, proposals, samples

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "keep-the-ledger.md"
OLD = 1767225600.0


def _rows(job_id: str, ended_at: float | None) -> dict[sa.Table, dict[str, object]]:
    """Return a job of one sample, in every table that knows of it."""
    of_sample = {"job_id": job_id, "sample_id": 1, "run": 1, "project_id": 1}
    labels = {"base": "{}", "draft": "{}", "found": "{}", "target": "{}"}
    moments = dict.fromkeys(("committed_at", "proposed_at", "recorded_at", "created_at", "changed_at"), 1.0)
    others = {"message_id": job_id, "step": 0, "attempt": 1, "kind": "k", "labeler": "l", "position": 0}
    job = {"carrier": "c", "submit": "s", "fingerprint": "f", "action_name": "a", "mode": "apply"}
    all_ = {**of_sample, **labels, **moments, **others, **job, "state": "x", "ended_at": ended_at}
    all_ |= {"held": 0, "spent": 0, "calls": 0, "seconds": 0.0}
    tables = (jobs, samples, proposals, commits, label_events, budgets)
    return {one: {name: all_[name] for name in one.c.keys() if name in all_} for one in tables}  # noqa: SIM118


async def test_old_jobs_go_and_nothing_else(ledger: Ledger) -> None:
    """A job that ended before the moment leaves no row; one that ended later, or has not, keeps all."""
    async with ledger.write() as conn:
        for job_id, ended_at in (("old", OLD - 1), ("young", OLD + 1), ("open", None)):
            for table, row in _rows(job_id, ended_at).items():
                await conn.execute(sa.insert(table).values(row))
    (script,) = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    async with ledger.write() as conn:
        for statement in script.split(";"):
            if statement.strip():
                await conn.exec_driver_sql(statement)
    keeping = [table for table in metadata.tables.values() if "job_id" in table.c]
    async with ledger.read() as conn:
        for table in keeping:
            kept = set((await conn.execute(sa.select(table.c.job_id))).scalars())
            assert kept == ({"young", "open"} if table in _rows("x", None) else set()), table.name
