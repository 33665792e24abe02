"""Job states, instances and dead letters."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from labelbus_contracts.ids import JobId
from labelbus_ledger.dead_letters import LedgerDeadLetters
from labelbus_ledger.engine import Ledger
from labelbus_ledger.instances import Heartbeat, capacities, kafka_carrier_id, report
from labelbus_ledger.job_states import JobStates
from labelbus_ledger.tables import dead_letters, instances, jobs
from labelbus_runtime.codec import Record
from labelbus_runtime.dead_letters import DeadLetter

_JOB = JobId("job")


async def _add_job(ledger: Ledger, **changes: object) -> None:
    await _add_jobs(ledger, changes)


async def _add_jobs(ledger: Ledger, *changes: Mapping[str, object]) -> None:
    row = {
        "job_id": "job", "project_id": 7, "carrier": "c", "submit": "{}", "fingerprint": "f",
        "action_name": "a", "mode": "preview", "state": "running", "desired_state": "run",
        "created_at": 100.0, "changed_at": 100.0,
    }  # fmt: skip
    async with ledger.write() as connection:
        await connection.execute(sa.insert(jobs), [{**row, **one} for one in changes])


async def _change_job(ledger: Ledger, **changes: object) -> None:
    async with ledger.write() as connection:
        await connection.execute(sa.update(jobs).values(**changes))


@pytest.mark.parametrize(
    ("state", "desired", "runs"),
    [
        ("running", "run", True),
        ("selecting", "run", True),
        ("running", "pause", False),
        ("running", "cancel", False),
        ("paused", "run", False),
        ("cancelled", "cancel", False),
        ("finished", "run", False),
    ],
)
async def test_runs(ledger: Ledger, state: str, desired: str, runs: bool) -> None:
    """A job runs while it is wanted to and has not ended."""
    await _add_job(ledger, state=state, desired_state=desired)
    assert await JobStates(ledger).runs(_JOB) is runs


async def test_pause_is_seen(ledger: Ledger) -> None:
    """A pause takes hold at the next refresh, without another question to the ledger before."""
    states = JobStates(ledger)
    await _add_job(ledger)
    assert await states.runs(_JOB)
    await _change_job(ledger, desired_state="pause", changed_at=101.0)
    assert await states.runs(_JOB)
    await states.refresh()
    assert not await states.runs(_JOB)


async def test_late_job(ledger: Ledger) -> None:
    """A job that the ledger does not know yet does not run, and runs once it is there."""
    states = JobStates(ledger)
    assert not await states.runs(_JOB)
    await _add_job(ledger)
    assert await states.runs(_JOB)


async def test_jobs_asked_about_long_ago_are_read_again(ledger: Ledger) -> None:
    """What is remembered does not grow with the jobs; a forgotten job is answered rightly all the same."""
    states = JobStates(ledger)
    names = [f"job-{number:04d}" for number in range(1_001)]
    await _add_jobs(ledger, *({"job_id": name} for name in names))
    assert all([await states.runs(JobId(name)) for name in names])
    await _change_job(ledger, desired_state="pause")  # too long ago for a refresh to look at
    assert not await states.runs(JobId(names[0]))
    assert await states.runs(JobId(names[-1]))
    assert len(states._runs) == 1_000


async def test_capacities(ledger: Ledger) -> None:
    """Capacity is summed over the instances of a carrier that were seen lately."""
    await report(ledger, "c", "owl-vit", "one", 32)
    await report(ledger, "c", "owl-vit", "two", 16)
    await report(ledger, "c", "owl-vit", "two", 8)
    await report(ledger, "other", "owl-vit", "three", 99)
    async with ledger.read() as connection:
        assert await capacities(connection, "c") == {"owl-vit": 40}
    async with ledger.write() as connection:
        await connection.execute(sa.update(instances).values(seen_at=instances.c.seen_at - 30))
        assert await capacities(connection, "c") == {}


async def test_heartbeat(ledger: Ledger) -> None:
    """A started heartbeat is seen at once, a stopped one is gone at once."""
    heartbeat = Heartbeat(ledger, "c", "owl-vit", "one", 32)
    await heartbeat.start()
    async with ledger.read() as connection:
        assert await capacities(connection, "c") == {"owl-vit": 32}
    await heartbeat.stop()
    async with ledger.read() as connection:
        assert await capacities(connection, "c") == {}


async def test_dead_letter(ledger: Ledger) -> None:
    """A dead letter keeps the original bytes, the headers and the reason."""
    record = Record("labelbus.label.x.v1", b"\xff{", headers={"job_id": "job"})
    letter = DeadLetter(record, "x", "labelbus.x", "InvalidMessage: no", 0, datetime.now(UTC))
    await LedgerDeadLetters(ledger).store(letter)
    async with ledger.read() as connection:
        row = (await connection.execute(sa.select(dead_letters))).one()
    assert (row.topic, row.body, row.reason) == (record.topic, b"\xff{", "InvalidMessage: no")
    assert '"job_id": "job"' in row.headers


def test_kafka_carrier_id() -> None:
    """A cluster has one name, in whichever order its servers are given, of bounded length."""
    assert kafka_carrier_id("b:1, a:1") == kafka_carrier_id("a:1,b:1") == "kafka:a:1,b:1"
    assert len(kafka_carrier_id("host:9092," * 50)) <= 128
