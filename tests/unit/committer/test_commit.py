"""A draft is written once, and people's labels are never damaged."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from labelbus_contracts.ids import JobId
from labelbus_contracts.labels import LabelSet, TimeRange
from labelbus_contracts.v1.events import SampleCommitted, SampleHeld, WriteDeferred, WriteRefused
from labelbus_ledger.tables import claims, commits
from labelbus_simulator import Fault

from .conftest import World

DOG = {"label": "dog", "x": 1, "y": 2, "width": 3, "height": 4}


async def test_apply(world: World) -> None:
    """Boxes, then metadata are written: two calls and one to look; what was found is kept."""
    sample = world.add_sample(boxes=[DOG])
    command = world.commit(sample)
    answer = await world.ask(command)
    assert isinstance(answer, SampleCommitted) and answer.changed == ("boxes", "metadata")
    assert world.writes() == ["set-boxes", "set-metadata"]
    assert world.studio.calls.total == 3
    assert [box["label"] for box in world.sample(sample).boxes] == ["dog", "cat"]
    assert world.sample(sample).metadata == {"site": "north", "labeled_by": "owlv2"}
    (row,) = await world.rows(commits)
    assert LabelSet.model_validate_json(row["found"]) == command.base.labels
    assert await world.rows(claims) == []


async def test_fresh_base(world: World) -> None:
    """A base younger than the setting saves the call that looks again."""
    world.restart(conflict_check_after_s=60.0)
    answer = await world.ask(world.commit(world.add_sample()))
    assert isinstance(answer, SampleCommitted)
    assert world.studio.calls.total == 2


@pytest.mark.parametrize(("setting", "given", "calls"), [(0.0, 60.0, 2), (60.0, 0.0, 3)])
async def test_a_job_says_what_is_fresh(world: World, setting: float, given: float, calls: int) -> None:
    """What a job says of the age of a base comes before the committer's setting."""
    world.restart(conflict_check_after_s=setting)
    command = world.commit(world.add_sample()).model_copy(update={"conflict_check_after_s": given})
    assert isinstance(await world.ask(command), SampleCommitted)
    assert world.studio.calls.total == calls


async def test_stale_base(world: World) -> None:
    """An older base is compared with what Studio holds."""
    world.restart(conflict_check_after_s=60.0)
    sample = world.add_sample()
    base = world.base(sample).model_copy(update={"read_at": datetime.now(UTC) - timedelta(minutes=2)})
    world.project.edit(sample, {"boundingBoxes": [DOG]})
    assert isinstance(await world.ask(world.commit(sample, base=base)), SampleHeld)


async def test_fresh_base_of_a_sample_that_another_job_wrote(world: World) -> None:
    """A fresh base counts for nothing when another job of ours has committed since."""
    world.restart(conflict_check_after_s=60.0)
    await world.add_job("other")
    sample = world.add_sample()
    late = world.commit(sample, draft=world.live(sample).model_copy(update={"boxes": ()}))
    await world.ask(world.commit(sample, job_id="other"))
    answer = await world.ask(late)
    assert isinstance(answer, SampleHeld) and answer.by_job == JobId("other")


async def test_a_job_that_writes_between_the_look_and_the_read_is_no_person(world: World) -> None:
    """The difference is another job's, though the ledger did not know of it when it was looked at first."""
    await world.add_job("other")
    sample = world.add_sample()
    late = world.commit(sample, draft=world.live(sample).model_copy(update={"disabled": True}))
    other, carry = world.commit(sample, job_id="other"), world.line.handle_async_request

    async def after_the_other(request: httpx.Request) -> httpx.Response:
        world.line.handle_async_request = carry  # type: ignore[method-assign]
        await world.ask(other)
        return await carry(request)

    world.line.handle_async_request = after_the_other  # type: ignore[method-assign]
    answer = await world.ask(late)
    assert isinstance(answer, SampleHeld) and answer.by_job == JobId("other")


async def test_repetition(world: World) -> None:
    """A command that comes again is answered again, without a call, even when people edited meanwhile."""
    sample = world.add_sample()
    command = world.commit(sample)
    first = await world.ask(command)
    world.project.edit(sample, {"boundingBoxes": []})
    calls = world.studio.calls.total
    assert await world.ask(command) == first
    assert world.studio.calls.total == calls
    assert world.sample(sample).boxes == []


async def test_edit_is_held(world: World) -> None:
    """What a person changed after the base was read stays as it is."""
    sample = world.add_sample()
    command = world.commit(sample)
    world.project.edit(sample, {"boundingBoxes": [DOG]})
    answer = await world.ask(command)
    assert isinstance(answer, SampleHeld)
    assert (answer.differs, answer.by_job) == (("boxes",), None)
    assert world.writes() == []
    assert await world.rows(claims) == []


async def test_equal_edit(world: World) -> None:
    """A sample that holds the draft already is committed without a write."""
    sample = world.add_sample()
    command = world.commit(sample)
    cat = {"label": "cat", "x": 10, "y": 20, "width": 30, "height": 40}
    world.project.edit(sample, {"boundingBoxes": [cat], "metadata": dict(command.draft.metadata)})
    answer = await world.ask(command)
    assert isinstance(answer, SampleCommitted) and answer.changed == ()
    assert world.writes() == []


async def test_overwrite(world: World) -> None:
    """Overwriting writes what the draft changed; other edits stay, and what was found is kept."""
    sample = world.add_sample()
    command = world.commit(sample, on_conflict="overwrite")
    world.project.edit(sample, {"boundingBoxes": [DOG], "metadata": {"site": "south", "seen": "yes"}})
    answer = await world.ask(command)
    assert isinstance(answer, SampleCommitted)
    assert [box["label"] for box in world.sample(sample).boxes] == ["cat"]
    assert world.sample(sample).metadata == {"site": "south", "seen": "yes", "labeled_by": "owlv2"}
    (row,) = await world.rows(commits)
    assert [box.label for box in LabelSet.model_validate_json(row["found"]).boxes] == ["dog"]


async def test_unchanged_draft(world: World) -> None:
    """A draft that changes nothing writes nothing."""
    sample = world.add_sample()
    answer = await world.ask(world.commit(sample, draft=world.live(sample)))
    assert isinstance(answer, SampleCommitted) and answer.changed == ()
    assert world.writes() == []


@pytest.mark.parametrize("what", ["merge", "replace"])
async def test_metadata_of_others(world: World, what: str) -> None:
    """Metadata that was there stays, whichever way Studio takes it."""
    world.studio.set_options(metadata_post=what)
    sample = world.add_sample()
    await world.ask(world.commit(sample))
    assert world.sample(sample).metadata == {"site": "north", "labeled_by": "owlv2"}


async def test_label_and_disabled(world: World) -> None:
    """A class label and the disabled flag are written by calls of their own, metadata last."""
    sample = world.add_sample(label="unsure")
    live = world.live(sample)
    draft = live.model_copy(update={"disabled": True, "label": None, "metadata": {"site": "x"}})
    await world.ask(world.commit(sample, draft=draft))
    assert world.writes() == ["edit-label", "disable", "set-metadata"]
    again = world.live(sample).model_copy(update={"disabled": False})
    await world.add_job("second")
    await world.ask(world.commit(sample, draft=again, job_id="second"))
    assert world.writes()[3:] == ["enable"]


async def test_label_maps_survive(world: World) -> None:
    """The label map of a range is still there after the range got another label."""
    (sample,) = world.project.add_audio(1)
    last = world.sample(sample).values_count - 1
    tagged = {"type": "key-values", "labels": {"mic": "left"}}
    world.sample(sample).ranges = [{"startIndex": 0, "endIndex": last, "label": "?", "labelMap": tagged}]
    live = world.live(sample)
    spoken = TimeRange(start_index=0, end_index=last, label="speech", label_map={"mic": "left"})
    answer = await world.ask(world.commit(sample, draft=live.model_copy(update={"ranges": (spoken,)})))
    assert isinstance(answer, SampleCommitted)
    assert world.live(sample).ranges == (spoken,)


async def test_label_map_of_a_sample(world: World) -> None:
    """A draft that changes the label map of a whole sample is refused: Studio has no call for it."""
    sample = world.add_sample()
    draft = world.live(sample).model_copy(update={"label_map": {"a": "b"}})
    answer = await world.ask(world.commit(sample, draft=draft))
    assert isinstance(answer, WriteRefused) and answer.code == "unwritable"


async def test_refused(world: World) -> None:
    """A write that Studio refuses is refused, and leaves no claim."""
    world.studio.fault(Fault("refuse", "set-boxes", message="Boxes are odd"))
    answer = await world.ask(world.commit(world.add_sample()))
    assert isinstance(answer, WriteRefused) and "Boxes are odd" in answer.reason
    assert await world.rows(claims) == []


async def test_refused_after_a_part(world: World) -> None:
    """A refusal of the second part says what the first one changed."""
    world.studio.fault(Fault("refuse", "set-metadata"))
    answer = await world.ask(world.commit(world.add_sample()))
    assert isinstance(answer, WriteRefused)
    assert answer.reason.endswith("Written before that: boxes.")


async def test_gone(world: World) -> None:
    """A sample that was deleted is refused."""
    sample = world.add_sample()
    command = world.commit(sample)
    world.project.delete(sample)
    answer = await world.ask(command)
    assert isinstance(answer, WriteRefused) and answer.code == "gone"


@pytest.mark.parametrize("kind", ["rate_limit", "error", "drop", "not_json"])
@pytest.mark.parametrize("route", ["get-sample", "set-boxes", "set-metadata"])
async def test_studio_away(world: World, kind: str, route: str) -> None:
    """While Studio is away the write is deferred; sent again, it is finished with nothing written twice."""
    command = world.commit(world.add_sample())
    world.studio.fault(Fault(kind, route, times=1, retry_after=7))  # type: ignore[arg-type]
    answer = await world.ask(command)
    assert isinstance(answer, WriteDeferred)
    assert answer.retry_after_s == (7.0 if kind == "rate_limit" else answer.retry_after_s) > 0
    assert isinstance(await world.ask(command), SampleCommitted)
    assert world.writes() == ["set-boxes", "set-metadata"]


async def test_answer_lost(world: World) -> None:
    """A write whose answer was lost is read back, not repeated; what was found before it is kept."""
    command = world.commit(world.add_sample())
    world.studio.fault(Fault("drop", "set-boxes", times=1, applied=True))
    assert isinstance(await world.ask(command), WriteDeferred)
    assert isinstance(await world.ask(command), SampleCommitted)
    assert world.writes() == ["set-boxes", "set-metadata"]
    (row,) = await world.rows(commits)
    assert LabelSet.model_validate_json(row["found"]) == command.base.labels


async def test_edit_after_an_interrupted_write(world: World) -> None:
    """What a person changes between two attempts is held, and the rest is not written."""
    sample = world.add_sample()
    command = world.commit(sample)
    world.studio.fault(Fault("error", "set-metadata", times=1))
    await world.ask(command)
    world.project.edit(sample, {"boundingBoxes": [DOG]})
    answer = await world.ask(command)
    assert isinstance(answer, SampleHeld) and answer.differs == ("boxes",)
    assert world.writes() == ["set-boxes"]
    assert await world.rows(claims) == []


async def test_slow_studio(world: World) -> None:
    """An attempt ends in its time, and is deferred."""
    world.restart(attempt_s=0.05)
    world.studio.fault(Fault("latency", "set-boxes", latency_s=2.0, times=1))
    assert isinstance(await world.ask(world.commit(world.add_sample())), WriteDeferred)


async def test_key_refused(world: World) -> None:
    """A revoked key defers the whole job."""
    command = world.commit(world.add_sample())
    world.studio.revoke(world.project.key)
    answer = await world.ask(command)
    assert isinstance(answer, WriteDeferred) and answer.scope == "job"


async def test_missing_secret(world: World) -> None:
    """A secret that cannot be had defers the whole job."""
    command = world.commit(world.add_sample()).model_copy(update={"secret": "env:NOT_SET"})
    answer = await world.ask(command)
    assert isinstance(answer, WriteDeferred) and answer.scope == "job"


@pytest.mark.parametrize("desired", ["cancel", "pause"])
async def test_stopped_job(world: World, desired: str) -> None:
    """A job that was stopped before the claim writes nothing."""
    await world.stop_job(desired)
    answer = await world.ask(world.commit(world.add_sample()))
    assert isinstance(answer, WriteDeferred)
    assert world.writes() == [] and await world.rows(claims) == []


async def test_two_jobs_at_once(world: World) -> None:
    """Of two jobs that write one sample at the same time one commits; the other learns who did."""
    await world.add_job("other")
    sample = world.add_sample()
    dog = world.live(sample).model_copy(update={"metadata": {"site": "north", "by": "other"}})
    commands = [world.commit(sample), world.commit(sample, job_id="other", draft=dog)]
    first = await asyncio.gather(*(world.ask(command) for command in commands))
    assert sorted(type(answer).__name__ for answer in first)[0] == "SampleCommitted"
    again = [await world.ask(command) for command in commands]
    (held,) = (answer for answer in again if isinstance(answer, SampleHeld))
    assert held.by_job in ("job", "other") and held.by_job != held.job_id
    assert len(await world.rows(commits)) == 1


async def test_same_command_at_once(world: World) -> None:
    """The same command in several hands is written once."""
    command = world.commit(world.add_sample())
    await asyncio.gather(*(world.ask(command) for _ in range(5)))
    assert isinstance(await world.ask(command), SampleCommitted)
    assert world.writes() == ["set-boxes", "set-metadata"]


async def test_many(world: World) -> None:
    """Many samples at once are committed each for itself, one bad one among them refused alone."""
    ids = [world.add_sample() for _ in range(30)]
    world.studio.fault(Fault("refuse", "set-boxes", sample_id=ids[7]))
    answers = await asyncio.gather(*(world.ask(world.commit(one)) for one in ids))
    kinds = [type(answer).__name__ for answer in answers]
    assert kinds.pop(7) == "WriteRefused"
    assert set(kinds) == {"SampleCommitted"}
    assert len(await world.rows(commits)) == 29
