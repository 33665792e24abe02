"""Videos are split once, whatever dies meanwhile, and their frames are found again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from labelbus_committer.split import is_frame, stem_of
from labelbus_contracts.ids import JobId, MessageId, ProjectId, SampleId
from labelbus_contracts.labels import LabelSet, SampleFacts
from labelbus_contracts.v1.commands import SplitVideo
from labelbus_contracts.v1.events import SampleHeld, VideoSplit, WriteDeferred, WriteRefused
from labelbus_contracts.v1.message import Message
from labelbus_ledger.splits import SplitRows
from labelbus_ledger.tables import jobs, splits
from labelbus_studio.samples import Sample

from .conftest import KEY, Crash, World

QUICK: dict[str, object] = {"split_poll_s": 0.001, "split_doubt_s": 0.0}
CUTS = [
    (when, where, meanwhile)
    for where in ("begin", "split", "note_job", "finish")
    for when in ("before", "after")
    for meanwhile in ("slow", "quick", "generic")
    if (where, meanwhile) != ("note_job", "generic")  # there is no job to note
]
Method = Callable[..., Awaitable[object]]


def command(world: World, video: int, **changes: object) -> SplitVideo:
    """Return the command to split a video into ten frames per second."""
    given: dict[str, object] = {
        "id": MessageId(f"split_video:job:1:{video}:1:1"),
        "job_id": JobId("job"),
        "project_id": ProjectId(world.project.id),
        "sample_id": SampleId(video),
        "secret": KEY,
        "base": world.base(video),
        "frames_per_second": 10,
    }
    return SplitVideo.model_validate(given | changes)


def frames(world: World, video: int) -> list[int]:
    """Return what Studio made of a video."""
    return [one.id for one in world.project.samples.values() if one.frames_of == video]


async def split(world: World, message: SplitVideo) -> Message:
    """Hand over the command as often as it is deferred."""
    for _ in range(20):
        answer = await world.ask(message)
        if not isinstance(answer, WriteDeferred):
            return answer
    raise AssertionError("it is deferred for ever")


@pytest.mark.parametrize("answers", ["job", "generic"])
async def test_split(world: World, answers: str) -> None:
    """Studio splits the video at the asked rate, at once or by a job; the frames are the answer, twice."""
    world.studio.set_options(split_answers=answers, split_polls=3)
    world.restart(**QUICK)
    video = world.project.add_video(video_seconds=0.5)
    message = command(world, video)
    first, again = await world.ask(message), await world.ask(message)
    assert first == again and isinstance(first, VideoSplit)
    assert list(first.frames) == frames(world, video) and len(first.frames) == 5
    assert world.writes() == ["split-video"]


def die(world: World, when: str, where: str) -> None:
    """Let the process die before or after a transaction, or the call that splits."""
    if where == "split":
        world.line.dies = (when, 1)
        return
    rows: Any = world.committer._writes.split._rows
    setattr(rows, where, _dying(getattr(SplitRows, where), rows, when))


def _dying(method: Method, rows: object, when: str) -> Method:
    async def dying(*given: object, **named: object) -> object:
        if when == "after":
            await method(rows, *given, **named)
        raise Crash

    return dying


@pytest.mark.parametrize(("when", "where", "meanwhile"), CUTS)
async def test_death(world: World, when: str, where: str, meanwhile: str) -> None:
    """Wherever the process dies, and however far Studio comes meanwhile, the video is split once."""
    world.studio.set_options(split_answers="generic" if meanwhile == "generic" else "job", split_polls=2)
    world.restart(**QUICK)
    video = world.project.add_video()
    message = command(world, video)
    die(world, when, where)
    with pytest.raises(Crash):
        await world.ask(message)
    world.line.dies = None
    for job in list(world.project.jobs.values()) if meanwhile == "quick" else []:
        if job.finished is None:
            world.project.finish_split(job)
    world.restart()
    await world.lapse()
    answer = await split(world, message)
    assert isinstance(answer, VideoSplit)
    assert list(answer.frames) == frames(world, video) and len(answer.frames) == 3
    assert world.writes() == ["split-video"]


async def test_a_call_in_doubt_gets_time_to_show(world: World) -> None:
    """Nothing tells whether it arrived: it is not sent again before a minute has passed, then it is."""
    world.restart(split_poll_s=0.001)
    message = command(world, world.project.add_video())
    world.line.dies = ("before", 1)
    with pytest.raises(Crash):
        await world.ask(message)
    world.line.dies = None
    deferred = await world.ask(message)
    assert isinstance(deferred, WriteDeferred) and "not known yet" in deferred.reason
    assert world.writes() == []
    async with world.ledger.write() as connection:
        await connection.execute(sa.update(splits).values(asked_at=splits.c.asked_at - 61))
    assert isinstance(await world.ask(message), VideoSplit)
    (row,) = await world.rows(splits)
    assert time.time() - row["asked_at"] < 30


async def test_a_split_that_is_asked_for_again_has_its_whole_time(world: World) -> None:
    """A job that was paused overnight after a call in doubt does not fail its video at the first look."""
    world.studio.set_options(split_polls=3)
    world.restart(split_poll_s=0.001)
    message = command(world, world.project.add_video())
    world.line.dies = ("before", 1)
    with pytest.raises(Crash):
        await world.ask(message)
    world.line.dies = None
    async with world.ledger.write() as connection:
        await connection.execute(sa.update(splits).values(asked_at=splits.c.asked_at - 10 * 3600))
    assert isinstance(await world.ask(message), VideoSplit)


async def test_a_long_split_is_looked_at_again(world: World) -> None:
    """A job of Studio's that outlasts an attempt is awaited by the next ones; it is not begun again."""
    world.studio.set_options(split_polls=100_000)
    world.restart(split_poll_s=0.01, attempt_s=0.2)
    video = world.project.add_video()
    message = command(world, video)
    for _ in range(2):
        assert isinstance(await world.ask(message), WriteDeferred)
    (job,) = world.project.jobs.values()
    world.project.finish_split(job)
    assert isinstance(await split(world, message), VideoSplit)
    assert world.writes() == ["split-video"]


async def test_a_broken_video_is_refused_and_may_be_tried_again(world: World) -> None:
    """Studio's failed job is named; another run asks anew."""
    world.restart(**QUICK)
    video = world.project.add_video(video_is_broken=True)
    answer = await world.ask(command(world, video))
    assert isinstance(answer, WriteRefused) and "its job 1 failed" in answer.reason
    world.sample(video).video_is_broken = False
    again = await world.ask(command(world, video, run=2))
    assert isinstance(again, VideoSplit) and len(again.frames) == 3


async def test_what_studio_refuses_is_refused(world: World) -> None:
    """A sample that is no video, or is gone, is told with Studio's words; nothing stays behind."""
    picture = world.add_sample()
    answer = await world.ask(command(world, picture))
    assert isinstance(answer, WriteRefused) and "not a video" in answer.reason
    message = command(world, world.project.add_video())
    world.project.delete(message.sample_id)
    gone = await world.ask(message)
    assert isinstance(gone, WriteRefused) and gone.code == "gone"
    assert await world.rows(splits) == []


async def test_a_stopped_job_splits_nothing(world: World) -> None:
    """A command of a job that was stopped meanwhile is deferred."""
    video = world.project.add_video()
    await world.stop_job("pause")
    assert isinstance(await world.ask(command(world, video)), WriteDeferred)
    assert world.writes() == []


async def test_a_job_that_was_just_stopped_asks_nothing_again(world: World) -> None:
    """What an attempt left behind is not taken up for a job that the committer believes to run still."""
    world.restart(**QUICK)
    message = command(world, world.project.add_video())
    world.line.dies = ("before", 1)
    with pytest.raises(Crash):
        await world.ask(message)
    world.line.dies = None
    await world.stop_job()
    assert isinstance(await world.ask(message), WriteDeferred)
    assert world.writes() == []


async def test_a_stopped_job_does_not_wait_for_studio(world: World) -> None:
    """Studio's job goes on; whoever cancels need not wait until the attempt's time is over."""
    world.studio.set_options(split_polls=100_000)
    world.restart(split_poll_s=0.01)
    asked = asyncio.create_task(world.ask(command(world, world.project.add_video())))
    async with asyncio.timeout(10):
        while not world.project.jobs:  # noqa: ASYNC110  # Studio tells nobody
            await asyncio.sleep(0.01)
        await world.stop_job()
        async with world.ledger.write() as connection:
            await connection.execute(sa.update(jobs).values(changed_at=time.time()))
        await world.states.refresh()
        assert isinstance(await asked, WriteDeferred)
    (row,) = await world.rows(splits)
    assert row["expires_at"] == 0.0


async def test_a_video_that_a_person_changed_is_held(world: World) -> None:
    """A label given meanwhile is not lost by a split, unless the job overwrites."""
    world.restart(**QUICK)
    video = world.project.add_video()
    message = command(world, video)
    world.project.edit(video, {"label": "mine"})
    held = await world.ask(message)
    assert isinstance(held, SampleHeld) and held.differs == ("label",)
    assert world.writes() == []
    anyway = message.model_copy(update={"on_conflict": "overwrite"})
    assert isinstance(await world.ask(anyway), VideoSplit)


async def test_one_at_a_time(world: World) -> None:
    """Two commands for one video, of two jobs, split it once; both get the frames."""
    await world.add_job("other")
    world.studio.set_options(split_polls=20)
    world.restart(split_poll_s=0.005)
    video = world.project.add_video()
    both = [command(world, video), command(world, video, job_id="other")]
    answers = await asyncio.gather(*(world.ask(one) for one in both))
    assert sorted(type(one).__name__ for one in answers) == ["VideoSplit", "WriteDeferred"]
    made = [await split(world, one) for one in both]
    assert all(isinstance(one, VideoSplit) and len(one.frames) == 3 for one in made)
    assert world.writes() == ["split-video"]


ALIKE = [("walk.mp4", "walk-2.mp4"), ("walk-2.mp4", "walk.mp4"), ("walk.mp4", "walk.mp4")]


@pytest.mark.parametrize("names", ALIKE)
async def test_videos_whose_frames_may_be_named_alike_go_one_at_a_time(
    world: World, names: tuple[str, str]
) -> None:
    """Of videos that are asked for together each gets its own frames, whichever comes first."""
    world.studio.set_options(split_polls=20)
    world.restart(split_poll_s=0.005)
    videos = [world.project.add_video(name) for name in names]
    both = [command(world, video) for video in videos]
    first = await asyncio.gather(*(world.ask(one) for one in both))
    assert "named like its own" in next(one.reason for one in first if isinstance(one, WriteDeferred))
    for video, message in zip(videos, both, strict=True):
        answer = await split(world, message)
        assert isinstance(answer, VideoSplit)
        assert list(answer.frames) == frames(world, video) and len(answer.frames) == 3


async def test_a_split_without_frames_holds_up_nobody(world: World) -> None:
    """A video whose frames cannot be told fails; one whose frames may be named alike goes on at once."""
    world.restart(**QUICK)
    walk, second = world.project.add_video("walk.mp4"), world.project.add_video("walk-2.mp4")
    message = command(world, walk)
    world.sample(walk).filename = "renamed.mp4"
    refused = await world.ask(message)
    assert isinstance(refused, WriteRefused) and "no new sample is named after it" in refused.reason
    assert isinstance(await world.ask(command(world, second)), VideoSplit)


async def test_a_split_that_is_found_late_takes_no_frames_of_others(world: World) -> None:
    """One that nobody finished in time holds up nobody for ever; looked at at last, it has its own frames."""
    world.restart(**QUICK)
    walk, second = world.project.add_video("walk.mp4"), world.project.add_video("walk-2.mp4")
    message = command(world, walk)
    die(world, "before", "finish")
    with pytest.raises(Crash):
        await world.ask(message)
    world.restart()
    await world.lapse()
    waits = command(world, second)
    assert isinstance(await world.ask(waits), WriteDeferred)
    async with world.ledger.write() as connection:
        await connection.execute(sa.update(splits).values(asked_at=splits.c.asked_at - 10 * 3600))
    assert isinstance(await world.ask(waits), VideoSplit)
    late = await split(world, message)
    assert isinstance(late, VideoSplit) and list(late.frames) == frames(world, walk)


@pytest.mark.parametrize(
    ("filename", "stem"),
    [("clip.mp4.5c1k8h2v", "clip"), ("a.b.avi", "a.b"), ("clip", "clip"), (".mp4", ".mp4")],
)
def test_stem(filename: str, stem: str) -> None:
    """A video's own name goes up to the ending of a video."""
    assert stem_of(filename) == stem


@pytest.mark.parametrize(
    ("name", "kind", "is_one"),
    [
        ("clip.frame0001.jpg", "image", True),
        ("clip_1.jpg.5c1k8h", "image", True),
        ("clip2.frame0001.jpg", "image", False),
        ("clips.jpg", "image", False),
        ("clip.mp4", "video", False),
        ("other.jpg", "image", False),
    ],
)
def test_is_frame(name: str, kind: Any, is_one: bool) -> None:
    """Frames are pictures named after their video, not after one whose name is longer."""
    sample = Sample(id=SampleId(1), facts=SampleFacts(filename=name, kind=kind), labels=LabelSet())
    assert is_frame(sample, "clip") is is_one
