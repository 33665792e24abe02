"""Videos: split once, when an action is applied; their frames are labeled like any other sample."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from labelbus_cli.testing import KEY, World, kill, until
from labelbus_simulator import Fault, SimulatorOptions, Studio, serve

QUESTION = "What is this?"
Worlds = Callable[..., World]


@pytest.fixture
def make_pictures(home: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worlds]:
    """Return a maker of worlds whose project has one label per picture."""
    with ExitStack() as stack:

        def make(**options: Any) -> World:
            studio = Studio(SimulatorOptions(**options))
            project = studio.add_project("Pictures", "single_label", key=KEY)
            endpoint = stack.enter_context(serve(studio))
            monkeypatch.setenv("EI_API_ENDPOINT", endpoint)
            monkeypatch.setenv("LABELBUS_SPLIT_POLL_S", "0.02")
            return World(studio, project, endpoint, home)

        yield make


def images(world: World, *more: str, ids: list[int] | None = None) -> list[str]:
    """Return the command line of the block with videos split."""
    common = ["block", "images", "--data-ids-file", world.ids_file(ids), "--prompt", QUESTION]
    return [*common, "--auto-convert-videos", "1", "--extract-frames-per-second", "4", *more]


def frames(world: World, video: int) -> list[int]:
    """Return the samples that Studio made of a video."""
    return [one.id for one in world.project.samples.values() if one.frames_of == video]


@pytest.mark.parametrize("answers", ["job", "generic"])
def test_the_block_splits_videos_and_labels_their_frames(make_pictures: Worlds, answers: str) -> None:
    """A preview splits nothing and says so; applied, each video is split once and each frame is labeled."""
    world = make_pictures(split_answers=answers, split_polls=3)
    world.add(2)
    videos = [world.project.add_video(f"clip{nr}.mp4", video_seconds=1.0) for nr in range(2)]
    ids = [*world.ids, *videos]
    before, job = world.state(), world.project.add_job()

    preview = world.labelbus(*images(world, "--propose-actions", str(job.id), ids=ids))
    assert preview.exit_code == 0, preview.output
    assert world.state() == before and world.written() == world.written("propose")
    assert "2 videos are not split in a preview" in preview.output
    assert "`labelbus jobs apply` leaves them whole" in preview.output
    assert {sample for _, sample in job.proposals} == set(ids)

    applied = world.labelbus(*images(world, ids=ids))
    assert applied.exit_code == 0, applied.output
    assert sorted(world.written("split-video")) == videos
    made = [one for video in videos for one in frames(world, video)]
    assert len(made) == 8
    assert all(world.project.samples[one].label for one in [*world.ids, *made])
    assert sorted(world.written("edit-label")) == sorted([*world.ids, *made])
    assert "12 committed" in applied.output


def test_a_video_that_cannot_be_split_fails_alone(make_pictures: Worlds) -> None:
    """Its reason names Studio's job; pictures and other videos are labeled."""
    world = make_pictures()
    world.add(1)
    bad = world.project.add_video("bad.mp4", video_is_broken=True)
    good = world.project.add_video("good.mp4")
    result = world.labelbus(*images(world, ids=[*world.ids, bad, good]))
    assert result.exit_code == 1
    assert "5 committed, 1 failed" in result.output
    assert "could not split video" in result.output
    assert len(frames(world, good)) == 3


def test_a_lost_answer_does_not_split_twice(make_pictures: Worlds) -> None:
    """Studio has split, and the line broke before it said so."""
    world = make_pictures()
    video = world.project.add_video()
    world.studio.faults.add(Fault("drop", route="split-video", times=1, applied=True))
    result = world.labelbus(*images(world, ids=[video]))
    assert result.exit_code == 0, result.output
    assert world.written("split-video") == [video]
    assert all(world.project.samples[one].label for one in frames(world, video))


def test_a_killed_process_does_not_split_twice(
    make_pictures: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while Studio splits: the next run goes on with Studio's job, and labels the frames."""
    world = make_pictures(split_polls=1_000_000)
    video = world.project.add_video()
    process = world.started(*images(world, ids=[video]))
    until(lambda: world.written("split-video") == [video])
    time.sleep(0.2)  # the id of Studio's job is stored, or not: both must do
    kill(process)
    world.project.finish_split(next(iter(world.project.jobs.values())))
    again = world.labelbus(*images(world, ids=[video]))
    assert again.exit_code == 0, again.output
    assert "Going on with job" in again.output
    assert world.written("split-video") == [video]
    assert sorted(world.written("edit-label")) == frames(world, video)


def test_an_action_splits_videos(make_pictures: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    """`labelbus run` by a filter does as the block does: a preview leaves videos whole, applying splits.

    An estimate says what it does not know.
    """
    world = make_pictures()
    world.add(2)
    video = world.project.add_video()
    parameters = {"prompt": QUESTION, "auto_convert_videos": True}
    action = {"name": "name", "steps": [{"labeler": "images", "parameters": parameters}]}
    monkeypatch.setenv("LABELBUS_PRICES", '{"simulated": [1, 0.1, 4]}')
    path = world.folder / "name.yaml"
    path.write_text(json.dumps(action | {"data": {"which": "unlabeled"}}))
    preview = world.labelbus("run", str(path))
    assert preview.exit_code == 0, preview.output
    assert "1 video is not split in a preview" in preview.output
    assert world.written() == []
    for pilot in ("0", "5"):
        estimate = world.labelbus("estimate", str(path), "--pilot", pilot)
        assert "1 of these samples is a video" in estimate.output, estimate.output
    applied = world.labelbus("run", str(path), "--apply", "--yes")
    assert applied.exit_code == 0, applied.output
    assert world.written("split-video") == [video]
    assert len([one for one in world.project.samples.values() if one.label]) == 5


def test_without_the_parameter_a_video_is_refused(make_pictures: Worlds) -> None:
    """As before: it fails alone, saying what the labeler works on."""
    world = make_pictures()
    world.add(1)
    video = world.project.add_video()
    asked = ["block", "images", "--data-ids-file", world.ids_file([*world.ids, video]), "--prompt", QUESTION]
    result = world.labelbus(*asked)
    assert result.exit_code == 1
    assert "not on video" in result.output
    assert world.written("split-video") == []
