"""Jobs from their submission to their end, on the embedded carrier, with scripted peers."""

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa
from labelbus_contracts.ids import JobId, SampleId
from labelbus_contracts.jobs import Condition, FailureLimit, Selection, StepSpec
from labelbus_contracts.labels import Base, BoundingBox, LabelSet, SampleFacts
from labelbus_contracts.v1 import commands, events
from labelbus_contracts.v1.message import message_id
from labelbus_dispatcher.adoption import adopt
from labelbus_dispatcher.testing import (
    BASE,
    QUICK,
    READ_AT,
    World,
    action,
    answer,
    failed,
    labeled,
    make_world,
    submit_job,
)
from labelbus_ledger import job_rows, job_samples, sample_rows
from labelbus_ledger.engine import Ledger
from labelbus_ledger.leases import Lease
from labelbus_ledger.tables import claims, proposals, splits
from labelbus_runtime.errors import RetryLater
from labelbus_runtime.testing import run_until

JOB = JobId("job")
on_both_databases = pytest.mark.parametrize(
    "ledger", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)


@on_both_databases
async def test_a_job_of_given_ids_commits_each_sample_once(world: World) -> None:
    """Every sample is labeled and committed, in the given order, and the job says so at its end."""
    await world.submit(selection=Selection(ids=(3, 1, 2, 1)))
    assert await world.states() == {"committed": 3}
    assert [one.sample_id for one in world.labels_sent()] == [3, 1, 2]
    assert len(world.of(commands.CommitSample)) == 3
    assert await world.state() == "finished"
    await run_until(lambda: world.of(events.JobFinished))


@on_both_databases
async def test_a_job_of_a_filter_takes_every_page(world: World) -> None:
    """A filter's samples are brought page by page."""
    world.reader.ids = range(1, 251)
    await world.submit(selection=Selection())
    assert await world.states() == {"committed": 250}


@on_both_databases
async def test_a_part_of_a_filter_is_the_same_for_the_same_seed(world: World) -> None:
    """`sample` takes that many, however the ids are paged."""
    world.reader.ids = range(1, 101)
    await world.submit(selection=Selection(sample=5, seed=1))
    assert await world.states() == {"committed": 5}
    world.reader.page_size = 33
    await world.submit(job_id="again", id="again", selection=Selection(sample=5, seed=1))
    assert await world.states("again") == {"committed": 5}
    sent = [(one.job_id, one.sample_id) for one in world.labels_sent()]
    assert {i for job, i in sent if job == "job"} == {i for job, i in sent if job == "again"}


async def test_a_preview_proposes_and_never_commits(world: World) -> None:
    """Preview changes nothing."""
    await world.submit(mode="preview")
    assert await world.states() == {"proposed": 3}
    assert not world.of(commands.CommitSample)


async def test_two_steps_follow_each_other(world: World) -> None:
    """The second step gets the first one's draft and the same base."""
    await world.submit(action=action("one", "two"), selection=Selection(ids=(1,)))
    await world.states()
    first, second = world.labels_sent()
    assert (first.step, second.step, second.labeler) == (0, 1, "two")
    assert second.base == BASE
    assert second.draft == labeled(first).draft


async def test_a_step_whose_condition_fails_is_left_out(world: World) -> None:
    """A draft that does not meet the condition goes on without the step."""
    steps = (StepSpec(labeler="one"), StepSpec(labeler="two", when=Condition(labels=("dog",))))
    await world.submit(action=action("one", steps=steps))
    assert await world.states() == {"committed": 3}
    assert {one.labeler for one in world.labels_sent()} == {"one"}


async def test_a_condition_of_the_first_step_is_met_by_the_base(world: World) -> None:
    """Without a dog in the base nothing is labeled; the base's labels are what is written."""
    world.reader.base = BASE
    steps = (StepSpec(labeler="one", when=Condition(labels=("dog",))),)
    await world.submit(action=action("one", steps=steps))
    assert await world.states() == {"committed": 3}
    assert not world.labels_sent()


async def test_a_passing_failure_is_tried_again_and_a_lasting_one_fails_alone(world: World) -> None:
    """Sample 1 succeeds at its third attempt; sample 2 fails after five; the rest goes on."""

    def label(command: commands.LabelSample) -> events.LabelEvent:
        fails = command.sample_id == 2 or (command.sample_id == 1 and command.attempt < 3)
        return failed(command) if fails else labeled(command)

    world.label = label
    await world.submit()
    assert await world.states() == {"committed": 2, "failed": 1}
    assert await world.state() == "finished_with_failures"
    attempts = [one.attempt for one in world.labels_sent() if one.sample_id == 2]
    assert attempts == [1, 2, 3, 4, 5]


@on_both_databases
async def test_retry_failed_opens_a_finished_job_again(world: World) -> None:
    """Resuming with `retry_failed` tries the failed samples as another run."""
    world.label = lambda command: failed(command, permanent=True)
    await world.submit()
    assert await world.state() == "finished_with_failures"
    world.label = labeled
    await world.carrier.publish([commands.ResumeJob(id=message_id("r"), job_id=JOB, retry_failed=True)])
    assert (await world.becomes("finished")).counts == {"committed": 3}
    assert {one.run for one in world.labels_sent()} == {1, 2}


async def test_a_revoked_key_pauses_the_job_until_it_is_resumed(world: World) -> None:
    """A failure of the whole job's scope loses no attempt and says how to go on."""
    world.label = lambda command: failed(command, "The key was revoked.", scope="job", code="key")
    await world.submit()
    assert await world.state() == "paused"
    await run_until(lambda: world.of(events.JobPaused))
    assert "labelbus jobs resume job" in world.of(events.JobPaused)[0].reason  # type: ignore[attr-defined]
    world.label = labeled
    await world.carrier.publish([commands.ResumeJob(id=message_id("r"), job_id=JOB)])
    assert (await world.becomes("finished")).counts == {"committed": 3}


@on_both_databases
async def test_too_many_failures_pause_the_job(world: World) -> None:
    """Past its limit a job is paused rather than drained."""
    world.label = lambda command: failed(command, permanent=True)
    await world.submit(selection=Selection(ids=tuple(range(100))), failure_limit=FailureLimit(count=5))
    assert await world.state() == "paused"
    assert (await world.states())["pending"] > 0


async def test_a_sample_changed_by_another_job_is_computed_again(world: World) -> None:
    """A job that applies directly reads and labels the sample again, as a new attempt."""
    first = True

    def write(command: commands.WriteSample) -> events.WriteEvent:
        nonlocal first
        held, first = first, False
        kind = events.SampleHeld if held else events.SampleCommitted
        more = {"reason": "changed", "by_job": "other"} if held else {}
        made = answer(kind, command, **more)
        assert isinstance(made, events.WriteEvent)
        return made

    world.write = write
    await world.submit(selection=Selection(ids=(1,)))
    assert await world.states() == {"committed": 1}
    assert [one.attempt for one in world.labels_sent()] == [1, 2]


async def test_a_deferred_write_is_sent_again(world: World) -> None:
    """What Studio was away for is written later, as another attempt."""
    seen: list[int] = []

    def write(command: commands.WriteSample) -> events.WriteEvent:
        seen.append(command.attempt)
        kind = events.WriteDeferred if len(seen) == 1 else events.SampleCommitted
        made = answer(kind, command, reason="away")
        assert isinstance(made, events.WriteEvent)
        return made

    world.write = write
    await world.submit(selection=Selection(ids=(1,)))
    assert await world.states() == {"committed": 1}
    assert seen == [1, 2]


@on_both_databases
async def test_a_preview_is_applied_without_computing(world: World) -> None:
    """Stored proposals become writes; a proposal's draft is what is committed."""
    await world.submit(mode="preview", id="p", job_id="preview")
    await world.states("preview")
    draft = LabelSet(boxes=(BoundingBox(label="dog", x=1, y=2, width=3, height=4),))
    async with world.ledger.write() as conn:
        stored = [
            {"job_id": "preview", "sample_id": i, "project_id": 7, "run": 1, "proposed_at": 0.0,
             "base": BASE.model_dump_json(), "draft": draft.model_dump_json()}
            for i in (1, 2)
        ]  # fmt: skip
        await conn.execute(proposals.insert(), stored)
    world.seen.clear()
    await world.submit(selection=Selection(), source_job_id="preview")
    assert await world.states() == {"committed": 2}
    assert not world.labels_sent()
    assert all(one.draft == draft for one in world.of(commands.CommitSample))  # type: ignore[attr-defined]


@on_both_databases
async def test_what_nobody_answers_is_sent_again(world: World) -> None:
    """A row in flight past its deadline becomes a new attempt."""
    world.label = lambda command: labeled(command) if command.attempt > 1 else None
    await world.submit(selection=Selection(ids=(1,)))
    await run_until(world.labels_sent)
    async with world.ledger.write() as conn:
        rows = await sample_rows.lock_rows(conn, {JOB: [SampleId(1)]})
        late = [replace(row, deadline_at=1.0, state="labeling") for row in rows.values()]
        await sample_rows.save_rows(conn, late)
    assert await world.states() == {"committed": 1}


@on_both_databases
async def test_a_reason_that_a_database_does_not_store_ends_its_sample(world: World) -> None:
    """A program or a server may have said NUL, which PostgreSQL refuses; nothing waits for it."""
    world.label = lambda command: failed(command, "It said: \0.", permanent=True)
    await world.submit(selection=Selection(ids=(1,)))
    assert await world.states() == {"failed": 1}


async def test_in_flight_stays_within_the_window(world: World) -> None:
    """A labeler that answers nothing is sent no more than its window."""
    world.label = lambda command: None
    await world.submit(selection=Selection(ids=tuple(range(100))))
    await run_until(lambda: len(world.labels_sent()) >= 16)
    await world.dispatcher.stop()
    await world.dispatcher.refill.turn()
    assert len(world.labels_sent()) == 16


async def test_a_small_job_is_not_stuck_behind_a_big_one(world: World) -> None:
    """Free slots go to the job least served: a later, small job is done long before the big one."""
    release: list[commands.LabelSample] = []

    def label(command: commands.LabelSample) -> None:
        release.append(command)

    world.label = label
    await world.submit(job_id="big", id="b", selection=Selection(ids=tuple(range(500))))
    await run_until(lambda: len(release) >= 16)
    await world.submit(job_id="small", id="s", selection=Selection(ids=tuple(range(4))))
    handled = 0
    async with asyncio.timeout(10):
        while sum(one.job_id == "small" for one in release) < 4:
            if handled < len(release):
                await world.carrier.publish([labeled(release[handled])])
                handled += 1
            await asyncio.sleep(0.002)
    assert handled < 60


_KEY = {"project_id": 7, "sample_id": 1, "job_id": "job", "run": 1, "token": "t"}
_CLAIM = _KEY | {"expires_at": 0.0, "found": "{}", "target": "{}"}
_SPLIT = _KEY | {"expires_at": 4e9, "after_id": 1, "asked_at": 0.0}


@on_both_databases
@pytest.mark.parametrize(("table", "row"), [(claims, _CLAIM), (splits, _SPLIT)])
async def test_cancel_waits_for_what_is_under_way(
    world: World, table: sa.Table, row: dict[str, object]
) -> None:
    """A job is cancelled only once no write of it is under way, and no video is being split."""
    world.label = lambda command: None
    await world.submit()
    await run_until(lambda: len(world.labels_sent()) == 3)
    async with world.ledger.write() as conn:
        await conn.execute(table.insert(), [row])
    await world.carrier.publish([commands.CancelJob(id=message_id("c"), job_id=JOB)])
    standing = await world.becomes("cancelling")
    await world.dispatcher.watch.close([standing.head])
    await world.becomes("cancelling")
    async with world.ledger.write() as conn:
        await conn.execute(table.delete())
    assert await world.state() == "cancelled"
    await run_until(lambda: world.of(events.JobFinished))


async def test_a_key_that_is_refused_rejects_the_job_before_it_starts(world: World) -> None:
    """The reason reaches whoever submitted it."""
    world.reader.error = RetryLater("The key is unknown.", scope="job", code="key")
    await world.submit()
    assert await world.state() == "rejected"
    assert not world.labels_sent()
    await run_until(lambda: world.of(events.JobRejected))


@pytest.mark.parametrize(("job", "state"), [(5, "committed"), (6, "rejected")])
async def test_a_preview_in_a_job_that_studio_lacks_is_rejected(world: World, job: int, state: str) -> None:
    """Before anything is computed; the reason names Studio's job."""
    world.reader.studio_jobs = [5]
    await world.submit(mode="preview", studio_job_id=job)
    if state == "rejected":
        assert await world.state() == "rejected"
        assert not world.labels_sent()
        await run_until(lambda: "no job 6 in Studio" in str(world.of(events.JobRejected)))
    else:
        await run_until(lambda: world.of(events.JobFinished))


async def test_a_selection_goes_on_where_it_stopped(world: World) -> None:
    """A fault between two pages repeats none of the pages before."""
    world.reader.ids = range(1, 41)
    pages = world.reader.pages_read

    class Fails(list[int | None]):
        def append(self, one: int | None) -> None:
            super().append(one)
            if len(self) == 2:
                raise RetryLater("Studio is away.")

    world.reader.pages_read = Fails(pages)
    await world.submit(selection=Selection())
    assert await world.states() == {"committed": 40}
    assert world.reader.pages_read == [40, 30, 30, 20, 10]


@on_both_databases
async def test_a_vanished_process_leaves_its_jobs_to_another(world: World) -> None:
    """What was in flight there is sent here at once, as a new attempt."""
    gone = make_world(world.ledger, carrier_id="embedded:gone")
    gone.label = lambda command: None
    await gone.carrier.start()
    await gone.dispatcher.start(gone.carrier)
    await gone.submit()
    await run_until(lambda: len(gone.labels_sent()) == 3)
    await gone.dispatcher.stop()
    await gone.carrier.stop(drain_s=1)
    assert await adopt(world.ledger, "test") == ("job",)
    assert await world.states() == {"committed": 3}


async def test_a_job_is_taken_over_once(world: World) -> None:
    """Of two processes that found the same job abandoned, the slower one leaves it alone."""
    await world.submit()
    await world.states()
    async with world.ledger.read() as conn:
        head = await job_rows.job_head(conn, JOB)
    assert head is not None
    taken = []
    for carrier in ("faster", "slower"):
        async with world.ledger.write() as conn:
            taken.append(await job_samples.take_over(conn, head, carrier=carrier, now=0.0))
    assert taken == [True, False]


async def test_only_the_holder_of_the_lease_sends(ledger: Ledger) -> None:
    """Another dispatcher of the carrier waits, and takes over when the lease is given up."""
    world = make_world(ledger, QUICK.model_copy(update={"lease_s": 0.3}))
    other = Lease(ledger, "refill:test", "another", 60.0)
    assert await other.acquire_or_renew()
    await world.carrier.start()
    await world.dispatcher.start(world.carrier)
    await world.submit()
    await world.becomes("selecting")
    await asyncio.sleep(0.5)  # more than its turns take
    assert world.labels_sent() == []
    await other.release()
    assert await world.states() == {"committed": 3}
    await world.dispatcher.stop()
    await world.carrier.stop(drain_s=1)


async def test_a_fresh_base_travels_with_the_command(world: World) -> None:
    """A base that the refill read is in the command, and in the row only once it is labeled."""
    base = Base(sample=SampleFacts(filename="b.jpg", kind="image"), labels=LabelSet(), read_at=READ_AT)
    world.reader.base = base
    await world.submit(selection=Selection(ids=(1,)))
    await world.states()
    assert world.labels_sent()[0].base == base
    assert [one.base for one in world.of(commands.CommitSample)] == [base]  # type: ignore[attr-defined]


def test_the_fingerprint_tells_what_a_job_does() -> None:
    """Another id or submitter is the same job; another step is not."""
    one = job_rows.fingerprint(submit_job())
    assert one == job_rows.fingerprint(submit_job(job_id="x", id="x", submitted_by="me"))
    assert one != job_rows.fingerprint(submit_job(action=action("two")))


@on_both_databases
async def test_a_limit_takes_the_newest_of_a_filter(world: World) -> None:
    """As many as it says, the highest ids, and no page more than that takes."""
    world.reader.ids = range(1, 251)
    await world.submit(selection=Selection(limit=25))
    assert await world.states() == {"committed": 25}
    assert {one.sample_id for one in world.labels_sent()} == set(range(226, 251))
    assert world.reader.pages_read == [250, 240, 230]


@pytest.mark.parametrize("other", [{"ids": (1, 2)}, {"sample": 2}])
async def test_a_limit_is_for_a_filter_only(world: World, other: dict[str, object]) -> None:
    """With ids or a random part it means nothing: the job is rejected."""
    await world.submit(selection=Selection.model_validate({"limit": 1, **other}))
    await world.becomes("rejected")
