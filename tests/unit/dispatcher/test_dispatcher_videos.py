"""Videos wait to be split in place of a write, and their frames join the job."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa
from labelbus_contracts.ids import JobId, ProjectId, SampleId
from labelbus_contracts.v1 import commands, events
from labelbus_dispatcher.decide import Job, Limits, decide, outgoing
from labelbus_dispatcher.testing import World, answer, labeled, submit_job, video_found
from labelbus_ledger.job_rows import JobHead
from labelbus_ledger.sample_rows import SampleRow
from labelbus_ledger.tables import splits

from .test_dispatcher_flow import on_both_databases

VIDEO, FRAMES = 2, (11, 12, 13)
ROW = SampleRow(job_id=JobId("job"), sample_id=SampleId(VIDEO), position=0, state="labeling")
HEAD = JobHead(
    job_id=JobId("job"), project_id=ProjectId(7), carrier="test", mode="apply", weight=1, state="running",
    desired_state="run", reason="", run=1, selected=True, cursor="{}", total=1, failures=0, changed_at=0.0,
    finish_sent_at=None,
)  # fmt: skip
JOB = Job(HEAD, submit_job())


def found(row: SampleRow = ROW) -> events.VideoFound:
    """Return the answer of a labeler that finds a video."""
    command = outgoing(replace(row, step=0, split_fps=None, draft=None), JOB)
    assert isinstance(command, commands.LabelSample)
    return video_found(command)


def label(command: commands.LabelSample) -> events.LabelEvent:
    """Find a video, label all else."""
    return video_found(command) if command.sample_id == VIDEO else labeled(command)


def split(command: commands.SplitVideo) -> Sequence[events.WriteEvent]:
    """Defer at first, then answer in two parts, one of them twice."""
    if command.attempt < 3:
        return [answer(events.WriteDeferred, command, reason="it takes a while")]  # type: ignore[list-item]
    parts = [answer(events.VideoSplit, command, frames=part) for part in (FRAMES[:2], FRAMES[2:], FRAMES[:2])]
    return [part.model_copy(update={"id": f"{part.id}:{nr}"}) for nr, part in enumerate(parts)]  # type: ignore[misc]


@on_both_databases
async def test_frames_join_the_job(world: World) -> None:
    """The video ends as committed, each frame is labeled and committed once, and the total tells."""
    world.label, world.split = label, split
    await world.submit()
    assert await world.states() == {"committed": 6}
    sent = [one.sample_id for one in world.labels_sent()]
    assert sorted(sent) == [1, VIDEO, 3, *FRAMES]
    asked = world.of(commands.SplitVideo)
    assert [one.frames_per_second for one in asked if isinstance(one, commands.SplitVideo)] == [10] * 3
    standing = await world.standing()
    assert standing is not None and standing.head.total == 6


@on_both_databases
async def test_all_frames_join_with_the_first_event(world: World) -> None:
    """Where the process dies between the events about one video, its other frames are not lost."""
    world.label = label
    world.split = lambda command: [answer(events.VideoSplit, command, frames=FRAMES[:1])]  # type: ignore[list-item]
    row = {
        "project_id": 7, "sample_id": VIDEO, "job_id": "job", "run": 1, "token": "t", "expires_at": 0.0,
        "after_id": 3, "asked_at": 0.0, "stem": "clip", "frames": str(list(FRAMES)),
    }  # fmt: skip
    async with world.ledger.write() as connection:
        await connection.execute(sa.insert(splits), row)
    await world.submit()
    assert await world.states() == {"committed": 6}
    standing = await world.standing()
    assert standing is not None and standing.head.total == 6


async def test_a_preview_proposes_the_video_as_it_is(world: World) -> None:
    """Nothing is split; Studio's preview shows the video unchanged."""
    world.label, world.split = label, split
    await world.submit(mode="preview")
    assert await world.states() == {"proposed": 3}
    assert not world.of(commands.SplitVideo)
    proposed = [one for one in world.of(commands.ProposeSample) if isinstance(one, commands.ProposeSample)]
    (video,) = (one for one in proposed if one.sample_id == VIDEO)
    assert video.draft == video.base.labels


async def test_a_video_that_cannot_be_split_fails_alone(world: World) -> None:
    """The rest is committed."""
    world.label = label
    world.split = lambda command: [answer(events.WriteRefused, command, reason="broken")]  # type: ignore[list-item]
    await world.submit()
    assert await world.states() == {"committed": 2, "failed": 1}


async def test_frames_of_a_cancelled_job_do_not_join(world: World) -> None:
    """What was split stays split; nobody labels it for a job that has ended."""
    world.label = label
    await world.submit()
    await world.becomes("running")
    await world.carrier.publish([commands.CancelJob(id="cancel", job_id=JobId("job"))])
    await world.becomes("cancelled")
    command = outgoing(replace(ROW, split_fps=10, step=1, base=found().base.model_dump_json()), JOB)
    await world.carrier.publish([answer(events.VideoSplit, command, frames=FRAMES)])
    await world.carrier.publish([answer(events.VideoSplit, command, frames=FRAMES)])
    standing = await world.standing()
    assert standing is not None and standing.head.total == 3


@pytest.mark.parametrize("state", ["labeling", "pending"])
def test_a_repeated_finding_implies_the_same_split(state: str) -> None:
    """Whatever repeats, the command's id is the same; a late draft of the video changes nothing."""
    first = decide(replace(ROW, state=state), JOB, found(), now=1.0, limits=Limits())  # type: ignore[arg-type]
    again = decide(first.row, JOB, found(), now=2.0, limits=Limits())
    assert first.messages == again.messages
    (command,) = first.messages
    assert isinstance(command, commands.SplitVideo) and command.base == found().base
    ended = decide(again.row, JOB, answer(events.VideoSplit, command), now=3.0, limits=Limits()).row
    assert (ended.state, ended.split_fps, ended.base) == ("committed", None, None)


def test_a_stopped_jobs_video_waits() -> None:
    """It is split when the job goes on, by the refill."""
    paused = replace(JOB, head=replace(HEAD, state="paused", desired_state="pause"))
    made = decide(ROW, paused, found(), now=1.0, limits=Limits())
    assert (made.row.state, made.row.step, made.messages) == ("pending", 1, ())
    assert isinstance(outgoing(made.row, JOB), commands.SplitVideo)
