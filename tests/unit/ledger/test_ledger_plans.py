"""What is asked again and again is found by an index, in a ledger of millions of rows too."""

from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa
from labelbus_contracts.ids import JobId
from labelbus_ledger import job_rows, reports, sample_rows
from labelbus_ledger.answers import AnswerKey, kept_answers
from labelbus_ledger.engine import Ledger
from labelbus_ledger.tables import metadata, samples
from sqlalchemy.ext.asyncio import AsyncConnection

Question = Callable[[AsyncConnection], Awaitable[object]]
JOB = JobId("job")
KEYS = [AnswerKey("openai", model, f"{digest:064}") for model in ("a", "b") for digest in range(20)]
ASKED: dict[str, Question] = {
    "unfinished jobs of a carrier": lambda conn: job_rows.open_jobs(conn, "kafka:here"),
    "jobs whose process is gone": lambda conn: job_rows.abandoned(conn, now=0.0, not_by="embedded:me"),
    "samples in flight": sample_rows.in_flight,
    "samples to send": lambda conn: sample_rows.pending(conn, JOB, 0, after=-1, now=0.0, most=100),
    "samples that nobody answered": lambda conn: sample_rows.overdue(conn, [JOB], now=0.0),
    "whether a job has open samples": lambda conn: sample_rows.any_in(conn, JOB),
    "whether many have ended": lambda conn: sample_rows.has_more_ended(conn, JOB, 200),
    "the newest jobs": lambda conn: reports.list_jobs(conn, limit=20),
    "jobs by how their ids begin": lambda conn: reports.list_jobs(conn, prefix="0a", limit=6),
    "how far a job is": lambda conn: reports.progress(conn, JOB),
    "why samples failed": lambda conn: reports.failures(conn, JOB),
    "answers that were paid for": lambda conn: kept_answers(conn, KEYS),
}


async def _plan(ledger: Ledger, question: Question) -> list[str]:
    """Return how the database would answer every statement of a question."""
    explain = "EXPLAIN QUERY PLAN" if ledger.dialect == "sqlite" else "EXPLAIN"
    seen: list[tuple[str, object]] = []

    def note(_: object, __: object, statement: str, parameters: object, *___: object) -> None:
        seen.append((statement, parameters))

    async with ledger.read() as conn:
        sa.event.listen(conn.sync_connection, "before_cursor_execute", note)
        await question(conn)
        sa.event.remove(conn.sync_connection, "before_cursor_execute", note)
        assert seen
        plans = [await conn.exec_driver_sql(f"{explain} {one}", given) for one, given in seen]  # type: ignore[arg-type]
        return [str(tuple(row)[-1]) for plan in plans for row in plan]


@pytest.mark.parametrize(
    "settings", ["sqlite"], indirect=True
)  # PostgreSQL reads small tables whole, rightly
@pytest.mark.parametrize("name", ASKED)
async def test_no_table_is_read_whole(ledger: Ledger, name: str) -> None:
    """An index leads to the rows, or holds all that is asked of it, or the first rows of it are enough."""
    tables = {table.name for table in metadata.tables.values()}
    enough: tuple[str, ...] = ("USING COVERING INDEX", "USING INDEX ix_samples_in_flight")
    if name == "the newest jobs":
        enough += ("USING INDEX ix_jobs_created_at",)
    plan = await _plan(ledger, ASKED[name])
    read_whole = [step for step in plan if step.startswith("SCAN") and step.split()[1] in tables]
    assert not [step for step in read_whole if not any(one in step for one in enough)]


@pytest.mark.parametrize(
    "settings", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)  # SQLite has no statistics
@pytest.mark.parametrize("name", ["whether a job has open samples", "whether many have ended"])
async def test_postgresql_reads_no_million_to_find_one(ledger: Ledger, name: str) -> None:
    """An index leads to it, though the statistics are of a time at which every sample was in that state."""
    rows = [{"job_id": JOB, "sample_id": nr, "position": nr} for nr in range(1000)]
    async with ledger.write() as conn:
        await conn.execute(sa.insert(samples), [one | {"state": "pending"} for one in rows[:500]])
        await conn.execute(sa.insert(samples), [one | {"state": "committed"} for one in rows[500:]])
        await conn.execute(sa.text("ANALYZE samples"))
    assert not [step for step in await _plan(ledger, ASKED[name]) if "Seq Scan" in step]


@pytest.mark.parametrize(("than", "more"), [(0, True), (2, True), (3, False), (9, False)])
async def test_ended_samples_are_counted_as_far_as_asked(ledger: Ledger, than: int, more: bool) -> None:
    """Three ended samples are more than two, and open ones do not count."""
    states = ("pending", "failed", "committed", "held", "labeling")
    rows = [
        {"job_id": "job", "sample_id": number, "position": number, "state": state}
        for number, state in enumerate(states)
    ]
    async with ledger.write() as conn:
        await conn.execute(sa.insert(samples), rows)
        assert await sample_rows.has_more_ended(conn, JOB, than) is more
