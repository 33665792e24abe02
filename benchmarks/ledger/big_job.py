"""What one big job costs its ledger: bytes per sample, and how long questions about it take, on SQLite.

    python -m benchmarks.ledger.big_job --samples 1000000

A preview whose samples had two boxes and got two others; one in a hundred failed.
"""

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from labelbus_contracts.ids import JobId, ProjectId, SecretName
from labelbus_contracts.jobs import ActionSpec, StepSpec
from labelbus_contracts.labels import Base, BoundingBox, LabelSet, SampleFacts
from labelbus_contracts.v1.commands import SubmitJob
from labelbus_ledger import reports
from labelbus_ledger.endings import ending
from labelbus_ledger.engine import Ledger
from labelbus_ledger.exports import lines
from labelbus_ledger.settings import LedgerSettings
from labelbus_ledger.tables import jobs, label_events, proposals, samples

JOB: Final = JobId("0123456789abcdef0123456789abcdef")
_FIRST_ID: Final = 5_000_000_000
_AT_ONCE: Final = 20_000
_FAILED: Final = 100
_SUBMIT: Final = SubmitJob(
    id="submit_job",
    job_id=JOB,
    project_id=ProjectId(1),
    secret=SecretName("env:UNUSED"),
    action=ActionSpec(name="benchmark", steps=(StepSpec(labeler="one-box"),)),
)


def _boxes(number: int, *, before: bool) -> LabelSet:
    where = number % 500
    kind, score, source = ("old", None, None) if before else ("new", 0.5 + where / 1000, "one-box#0")
    return LabelSet(
        boxes=tuple(
            BoundingBox(label=f"{kind} {nr}", x=where, y=nr, width=30, height=40, score=score, source=source)
            for nr in range(2)
        )
    )


def _rows(number: int) -> dict[sa.Table, dict[str, object]]:
    """Return what the ledger keeps of an ended sample."""
    sample: dict[str, object] = {"job_id": JOB, "sample_id": _FIRST_ID + number}
    facts = SampleFacts(filename=f"image.{number}", kind="image", width=640, height=480)
    base = Base(sample=facts, labels=_boxes(number, before=True), read_at=datetime.now(UTC))
    event: dict[str, object] = {
        "message_id": f"sample_labeled:{JOB}:1:{_FIRST_ID + number}:0:1",
        "kind": "sample_labeled",
    }
    event |= {"run": 1, "step": 0, "attempt": 1, "labeler": "one-box", "model": "m", "recorded_at": 1.0}
    failed = number % _FAILED == 0
    row: dict[str, object] = {
        "position": number,
        "step": 1,
        "state": "failed" if failed else "proposed",
        "ended_at": 1.0,
    }
    row |= {"code": "gone", "reason": f"Sample {_FIRST_ID + number} is gone."} if failed else {}
    draft = _boxes(number, before=False).model_dump_json()
    proposal: dict[str, object] = {
        "project_id": 1,
        "run": 1,
        "base": base.model_dump_json(),
        "draft": draft,
        "proposed_at": 1.0,
    }
    kept = {samples: row, label_events: event} | ({} if failed else {proposals: proposal})
    return {table: sample | values for table, values in kept.items()}


async def _fill(ledger: Ledger, number: int) -> None:
    job = {
        "job_id": JOB,
        "project_id": 1,
        "carrier": "kafka:benchmark",
        "fingerprint": "",
        "action_name": "b",
    }
    job |= {"submit": _SUBMIT.model_dump_json(), "mode": "preview", "state": "finished", "total": number}
    async with ledger.write() as conn:
        await conn.execute(sa.insert(jobs).values(job | {"created_at": 1.0, "changed_at": 1.0}))
    for start in range(0, number, _AT_ONCE):
        batch = [_rows(one) for one in range(start, min(number, start + _AT_ONCE))]
        async with ledger.write() as conn:
            for table in (samples, label_events, proposals):
                for columns in {tuple(row[table]) for row in batch if table in row}:
                    rows = [one[table] for one in batch if table in one and tuple(one[table]) == columns]
                    await conn.execute(sa.insert(table), rows)


async def _ask(ledger: Ledger) -> None:
    async with ledger.read() as conn:
        job = await reports.find_job(conn, JOB)
        assert job is not None
        questions: dict[str, Callable[[], Awaitable[object]]] = {
            "how far it is": lambda: reports.progress(conn, JOB),
            "why samples failed": lambda: reports.failures(conn, JOB),
            "its summary": lambda: ending(conn, JOB),
        }
        for name, question in questions.items():
            started = time.perf_counter()
            await question()
            print(f"{name:<20} {time.perf_counter() - started:8.2f} s")
    started, count = time.perf_counter(), 0
    async for _ in lines(ledger, job):
        count += 1
    print(f"{'its export':<20} {time.perf_counter() - started:8.2f} s, {count:,} lines")


async def measure(folder: Path, number: int) -> None:
    """Fill a ledger with one job, and ask."""
    ledger = await Ledger.open(LedgerSettings(home=folder, database_url=None))
    try:
        await _fill(ledger, number)
        async with ledger.read() as conn:
            pages = (await conn.exec_driver_sql("PRAGMA page_count")).scalar_one()
            page = (await conn.exec_driver_sql("PRAGMA page_size")).scalar_one()
        print(f"{number:,} samples: {pages * page / 2**20:,.0f} MiB, {pages * page / number:,.0f} bytes each")
        await _ask(ledger)
    finally:
        await ledger.close()
    print(
        f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB, filling included"
    )


def main() -> None:
    """Read the option and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), given.samples))


if __name__ == "__main__":
    main()
