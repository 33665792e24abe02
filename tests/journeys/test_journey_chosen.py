"""Blocks that Studio names no samples: they choose by the official blocks' rules."""

import pytest
from labelbus_cli.testing import World

from .test_journey_videos import Worlds, frames, make_pictures

__all__ = ["make_pictures"]
QUESTION = "What is this?"
IMAGES = ["block", "images", "--prompt", QUESTION]
VALIDATE = ["block", "validate", "--validation-prompt", "- There is text"]
BOX = {"label": "cat", "x": 1, "y": 2, "width": 9, "height": 9}


@pytest.mark.parametrize("page", [1000, 2])
def test_images_takes_what_has_no_label(make_pictures: Worlds, page: int) -> None:
    """In every category; what has a label and what is no image stays; a second run finds nothing to do."""
    world = make_pictures(max_page_size=page)
    wanted = [*world.project.add_images(3), *world.project.add_images(2, category="testing")]
    labeled = world.project.add_images(2, label="mine")
    video, clip = world.project.add_video(), *world.project.add_audio(1)
    result = world.labelbus(*IMAGES)
    assert result.exit_code == 0, result.output
    assert "Labeling the unlabeled images of project 1 (Pictures)" in result.output
    assert sorted(world.written("edit-label")) == wanted
    assert [world.project.samples[one].label for one in [*labeled, video, clip]] == ["mine", "mine", "", ""]
    again = world.labelbus(*IMAGES)
    assert again.exit_code == 0
    assert "Nothing to do: project 1 (Pictures) has none" in again.output


def test_a_limit_takes_the_newest(make_pictures: Worlds) -> None:
    """As many as it says."""
    world = make_pictures()
    ids = world.project.add_images(5)
    result = world.labelbus(*IMAGES, "--limit", "2")
    assert result.exit_code == 0, result.output
    assert sorted(world.written("edit-label")) == ids[3:]


def test_videos_are_chosen_where_they_are_split(make_pictures: Worlds) -> None:
    """Their frames are labeled with the images; a video with a label is left alone."""
    world = make_pictures()
    (picture,) = world.project.add_images(1)
    video = world.project.add_video("a.mp4")
    world.project.add_video("b.mp4", label="mine")
    result = world.labelbus(*IMAGES, "--auto-convert-videos", "true")
    assert result.exit_code == 0, result.output
    assert world.written("split-video") == [video]
    assert sorted(world.written("edit-label")) == [picture, *frames(world, video)]


def test_validate_takes_enabled_images_with_boxes(world: World, model: str) -> None:
    """Those without boxes and disabled ones are not asked about."""
    with_box, disabled, *_ = world.ids
    world.project.samples[with_box].boxes = [dict(BOX)]
    world.project.samples[disabled].boxes = [dict(BOX)]
    world.project.samples[disabled].is_disabled = True
    result = world.labelbus(*VALIDATE)
    assert result.exit_code == 0, result.output
    assert "Labeling the enabled images with labels of project" in result.output
    assert world.written("set-metadata") == [with_box]


def test_in_a_preview_of_several_steps_earlier_proposals_count(world: World, model: str) -> None:
    """The second step of Studio's preview validates the boxes that the first one proposed."""
    job = world.project.add_job()
    world.project.propose(job.id, world.ids[0], {"boundingBoxes": [BOX]})
    job.step = 1
    result = world.labelbus(*VALIDATE, "--propose-actions", str(job.id))
    assert result.exit_code == 0, result.output
    assert [sample for step, sample in job.proposals if step == 1] == [world.ids[0]]


def test_other_blocks_must_be_named_samples(world: World) -> None:
    """As before."""
    result = world.labelbus("block", "owl-vit", "--prompt", "a cat")
    assert (result.exit_code, "Missing --data-ids-file" in result.output) == (1, True)


@pytest.mark.parametrize("content", ["[]", '{"ids": []}'])
def test_a_file_without_ids_is_no_fault(make_pictures: Worlds, content: str) -> None:
    """An action on a schedule may find nothing; a block must not then choose samples by itself."""
    world = make_pictures()
    world.project.add_images(2)
    file = world.folder / "ids.json"
    file.write_text(content)
    result = world.labelbus(*IMAGES, "--data-ids-file", str(file))
    assert (result.exit_code, result.output) == (0, "Nothing to do: the ids file names no sample.\n")
    assert not world.written()
