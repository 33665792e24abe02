"""A process that dies between any two steps leaves a sample that the next one brings to the same end."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import httpx
import pytest
from labelbus_committer.service import Committer
from labelbus_contracts.ids import JobId
from labelbus_contracts.labels import LabelSet, same_content
from labelbus_contracts.v1.commands import CommitSample
from labelbus_contracts.v1.events import SampleCommitted, SampleHeld, WriteDeferred
from labelbus_ledger.tables import claims, commits

from .conftest import METADATA_AFTER, Crash, World

Item = TypeVar("Item")
Result = TypeVar("Result")
DOG = {"label": "dog", "x": 1, "y": 2, "width": 3, "height": 4}
STEPS = ("standings", "claim", "commit")
CUTS = [
    *((when, step) for step in STEPS for when in ("before", "after")),
    *((when, write) for write in (1, 2) for when in ("before", "after")),
]


def die(world: World, when: str, where: str | int) -> None:
    """Let the process die before or after a transaction, or a write to Studio."""
    if isinstance(where, int):
        world.line.dies = (when, where)
        return
    batches = world.committer._batches
    batcher: Any = {"standings": batches.look, "claim": batches.claim, "commit": batches.commit}[where]
    batcher._flush = _dying(batcher._flush, when)


async def crash(world: World, command: CommitSample, when: str, where: str | int) -> None:
    """Die while a command is followed, and start again."""
    die(world, when, where)
    with pytest.raises(Crash):
        await world.ask(command)
    world.line.dies = None
    world.restart()


def _dying(
    flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], when: str
) -> Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]:
    async def dying(items: Sequence[Item]) -> Sequence[Result]:
        if when == "after":
            await flush(items)
        raise Crash

    return dying


@pytest.mark.parametrize(("when", "where"), CUTS)
async def test_death(world: World, when: str, where: str | int) -> None:
    """Wherever the process dies, each part is written once, and what was found first is kept."""
    sample = world.add_sample(boxes=[DOG])
    command = world.commit(sample)
    await crash(world, command, when, where)
    await world.lapse()
    answer = await world.ask(command)
    assert isinstance(answer, SampleCommitted) and answer.changed == ("boxes", "metadata")
    assert same_content(world.live(sample), command.draft)
    assert world.writes() == ["set-boxes", "set-metadata"]
    (row,) = await world.rows(commits)
    assert LabelSet.model_validate_json(row["found"]) == command.base.labels
    assert await world.rows(claims) == []


@pytest.mark.parametrize(("when", "where"), CUTS)
async def test_death_of_a_call_in_a_process_that_lives(world: World, when: str, where: str | int) -> None:
    """A call that failed by a bug is repeated at once in the same process: its claim is known to be free."""
    command = world.commit(world.add_sample())
    batches = world.committer._batches
    flushes = [(one, one._flush) for one in (batches.look, batches.claim, batches.commit)]
    die(world, when, where)
    with pytest.raises(Crash):
        await world.ask(command)
    world.line.dies = None
    for batcher, flush in flushes:
        batcher._flush = flush
    assert isinstance(await world.ask(command), SampleCommitted)
    assert world.writes() == ["set-boxes", "set-metadata"]


async def test_cancelled_call(world: World) -> None:
    """A call that is cancelled in the middle of a write passes the cancellation on, and can be repeated."""
    command = world.commit(world.add_sample())
    arrived = asyncio.Event()
    carry = world.line.handle_async_request

    async def hang(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            arrived.set()
            await asyncio.Event().wait()
        return await carry(request)

    world.line.handle_async_request = hang  # type: ignore[method-assign]
    task = asyncio.create_task(world.ask(command))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    world.line.handle_async_request = carry  # type: ignore[method-assign]
    assert isinstance(await world.ask(command), SampleCommitted)


async def test_a_process_that_was_stopped_sends_no_write_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was about to write when its time ended is not sent: others may have taken over."""
    loop, carry = asyncio.get_running_loop(), world.line.handle_async_request
    clock = loop.time

    async def stopped(request: httpx.Request) -> httpx.Response:
        response = await carry(request)
        if request.method == "POST":  # nothing in the process has run for a minute
            monkeypatch.setattr(loop, "time", lambda: clock() + 60.0)
        return response

    world.line.handle_async_request = stopped  # type: ignore[method-assign]
    command = world.commit(world.add_sample())
    assert isinstance(await world.ask(command), WriteDeferred)
    assert world.writes() == ["set-boxes"]
    world.line.handle_async_request = carry  # type: ignore[method-assign]
    assert isinstance(await world.ask(command), SampleCommitted)
    assert world.writes() == ["set-boxes", "set-metadata"]


async def test_live_claim_of_a_dead_process(world: World) -> None:
    """While a claim lasts nobody else writes; the command comes again later."""
    command = world.commit(world.add_sample())
    await crash(world, command, "before", 1)
    answer = await world.ask(command)
    assert isinstance(answer, WriteDeferred) and 0 < answer.retry_after_s <= 2
    assert world.writes() == []


async def test_takeover_after_an_edit(world: World) -> None:
    """A lapsed claim of a sample that a person changed is held."""
    sample = world.add_sample()
    command = world.commit(sample)
    await crash(world, command, "after", 1)
    await world.lapse()
    world.project.edit(sample, {"boundingBoxes": [DOG]})
    answer = await world.ask(command)
    assert isinstance(answer, SampleHeld) and answer.differs == ("boxes",)
    assert [box["label"] for box in world.sample(sample).boxes] == ["dog"]


@pytest.mark.parametrize("write", [1, 2])
async def test_what_another_job_adds_at_its_end_is_no_edit(world: World, write: int) -> None:
    """A sample that two jobs write, the first of which ends while the second is down, is finished."""
    await world.add_job("other")
    sample = world.add_sample(boxes=[DOG])
    await world.ask(world.commit(sample, job_id="other"))
    wanted = world.live(sample).metadata | {"labeled_by": "both"}
    draft = world.live(sample).model_copy(update={"boxes": (), "metadata": wanted})
    command = world.commit(sample, draft=draft)
    await crash(world, command, "after", world.line.writes + write)
    there = {**world.sample(sample).metadata, **METADATA_AFTER}
    world.project.edit(sample, {"metadata": there})
    await world.lapse()
    assert isinstance(await world.ask(command), SampleCommitted)
    assert world.sample(sample).metadata == wanted | METADATA_AFTER
    row = next(row for row in await world.rows(commits) if row["job_id"] == "job")
    assert (
        LabelSet.model_validate_json(row["found"]).metadata == command.base.labels.metadata | METADATA_AFTER
    )


async def _half_written(world: World) -> int:
    sample = int(world.add_sample())
    command = world.commit(sample)
    await crash(world, command, "after", 1)
    await world.lapse()
    return sample


async def test_another_job_finishes_first(world: World) -> None:
    """A job that meets another's half-written sample finishes that one, then sees whose change it is."""
    await world.add_job("other")
    late = None
    sample = world.add_sample()
    late = world.commit(
        sample, job_id="other", draft=world.live(sample).model_copy(update={"disabled": True})
    )
    command = world.commit(sample)
    await crash(world, command, "after", 1)
    await world.lapse()
    answer = await world.ask(late)
    assert isinstance(answer, SampleHeld) and answer.by_job == JobId("job")
    assert world.writes() == ["set-boxes", "set-metadata"]
    assert isinstance(await world.ask(command), SampleCommitted)
    assert world.writes() == ["set-boxes", "set-metadata"]


async def test_another_job_takes_over_what_was_not_begun(world: World) -> None:
    """A lapsed claim under which nothing was written stands in nobody's way."""
    await world.add_job("other")
    sample = world.add_sample()
    other = world.commit(sample, job_id="other")
    await crash(world, world.commit(sample), "before", 1)
    await world.lapse()
    assert isinstance(await world.ask(other), SampleCommitted)
    (row,) = await world.rows(commits)
    assert row["job_id"] == "other"


async def test_an_edited_half_write_is_its_own_jobs_first(world: World) -> None:
    """Another job waits as long as a claim lasts: else the first would compute on top of its own boxes."""
    await world.add_job("other")
    sample = world.add_sample()
    command = world.commit(sample)
    await crash(world, command, "after", 1)
    await world.lapse(at=time.time() - 1)
    world.project.edit(sample, {"boundingBoxes": [*world.sample(sample).boxes, DOG]})
    late = world.commit(sample, job_id="other")
    assert isinstance(await world.ask(late), WriteDeferred)
    answer = await world.ask(command)
    assert isinstance(answer, SampleHeld) and answer.by_job is None
    assert isinstance(await world.ask(late), SampleCommitted)


async def test_nobody_waits_for_a_job_that_does_not_come_back(world: World) -> None:
    """A claim whose job is interrupted or paused stands in others' way for its own time once more."""
    await world.add_job("other")
    sample = await _half_written(world)
    world.project.edit(sample, {"boundingBoxes": [DOG]})
    assert isinstance(await world.ask(world.commit(sample, job_id="other")), SampleCommitted)


async def test_sweep_finishes_a_cancelled_job(world: World) -> None:
    """A sample that a cancelled job left half written is finished, and can be undone."""
    sample = await _half_written(world)
    await world.stop_job()
    await world.committer.sweep()
    assert world.sample(sample).metadata["labeled_by"] == "owlv2"
    assert len(await world.rows(commits)) == 1 and await world.rows(claims) == []


@pytest.mark.parametrize("change", ["edit", "delete"])
async def test_sweep_forgets(world: World, change: str) -> None:
    """A claim whose sample was changed or deleted meanwhile is forgotten, and nothing is written."""
    sample = await _half_written(world)
    await world.stop_job()
    if change == "edit":
        world.project.edit(sample, {"boundingBoxes": [DOG]})
    else:
        world.project.delete(sample)
    await world.committer.sweep()
    assert world.writes() == ["set-boxes"]
    assert await world.rows(claims) == [] == await world.rows(commits)


async def test_sweep_leaves_running_jobs_alone(world: World) -> None:
    """A lapsed claim of a job that runs waits for that job's own command."""
    await _half_written(world)
    await world.committer.sweep()
    assert len(await world.rows(claims)) == 1


async def test_resume_after_pause(world: World) -> None:
    """A half-written sample of a paused job waits, and is finished when the job goes on."""
    sample = await _half_written(world)
    command = world.commit(sample, base=world.base(sample))
    await world.stop_job("pause")
    assert isinstance(await world.ask(command), WriteDeferred)
    await world.stop_job("run")
    assert isinstance(await world.ask(command), SampleCommitted)
    assert world.writes() == ["set-boxes", "set-metadata"]


async def test_a_later_run_keeps_what_was_there_before_the_first(world: World) -> None:
    """A retry that reads what an earlier run half wrote records what that run found: undo restores it."""
    sample = world.add_sample(boxes=[DOG])
    first = world.commit(sample)
    await crash(world, first, "after", 1)
    await world.lapse()
    assert isinstance(await world.ask(world.commit(sample, draft=first.draft, run=2)), SampleCommitted)
    (row,) = await world.rows(commits)
    assert LabelSet.model_validate_json(row["found"]) == first.base.labels


async def test_two_processes(world: World) -> None:
    """Two processes that are given the same commands write each sample once between them."""
    second = Committer(world.ledger, access=world.access, job_states=world.states, settings=world.settings)
    commands = [world.commit(world.add_sample()) for _ in range(10)]
    handlers = [one.workers()[0].handle for one in (world.committer, second)]
    await asyncio.gather(*(handle(command) for command in commands for handle in handlers))
    for command in commands:
        assert isinstance(await world.ask(command), SampleCommitted)
    assert world.writes().count("set-boxes") == world.writes().count("set-metadata") == 10
    await second.stop()
