"""Post-processing: the official order, Studio's frame, and merging with the boxes that are there."""

import pytest
from labelbus_contracts.labels import BoundingBox, SampleFacts
from labelbus_detector.boxes import found_boxes
from labelbus_detector.detections import Detected, Detection
from labelbus_detector.parameters import OwlVitParameters
from labelbus_detector.prompt import parse_prompt
from labelbus_labeling.geometry import in_studio_frame, merged_boxes
from labelbus_labeling.images import Frame
from PIL import Image, ImageOps

FRAME = Frame(100, 100)
Row = tuple[str, int, int, int, int]


def found(detections: list[Detection], prompt: str = "cat", **parameters: object) -> list[Row]:
    """Run all steps on a picture of 100 * 100 pixels."""
    detected = Detected(tuple(detections), FRAME)
    read = OwlVitParameters.model_validate({"prompt": prompt, **parameters})
    boxes = found_boxes(detected, parse_prompt(prompt), read, SampleFacts(width=100, height=100), "s")
    return [box.content for box in boxes]


def cat(x1: int, y1: int, x2: int, y2: int, score: float = 0.5) -> Detection:
    """Make a detection of a cat."""
    return Detection("cat", score, x1, y1, x2, y2)


def test_a_score_at_the_minimum_counts() -> None:
    """Only scores below the minimum go."""
    kept = found([cat(0, 0, 9, 9, 0.2), cat(0, 0, 8, 8, 0.199)], "cat (Cat, 0.2)")
    assert kept == [("Cat", 0, 0, 9, 9)]


def test_each_line_of_a_phrase_judges() -> None:
    """One phrase on two lines gives each label by its own minimum."""
    kept = found([cat(0, 0, 9, 9, 0.5)], "cat (any, 0.1)\ncat (sure, 0.9)\ncat (fair, 0.4)")
    assert [row[0] for row in kept] == ["any", "fair"]


def test_area_filters_see_the_box_before_clipping() -> None:
    """A box of 25 % that reaches beyond the image counts 25 %, though clipping leaves it 6 %."""
    reaching = cat(-25, -25, 25, 25)
    assert found([reaching], ignore_objects_smaller_than=20) == [("cat", 0, 0, 25, 25)]
    assert found([reaching], ignore_objects_larger_than=20) == []


def test_zero_percent_filters_nothing() -> None:
    """0 switches both filters off, as in the official block."""
    kept = found([cat(0, 0, 50, 50)], ignore_objects_larger_than=0, ignore_objects_smaller_than=0)
    assert len(kept) == 1


def test_nms_groups_by_output_label_after_the_filters() -> None:
    """Two phrases of one label compete; a filtered box suppresses nobody."""
    rows = [cat(0, 0, 20, 20, 0.9), Detection("kitten", 0.8, 1, 1, 21, 21)]
    assert len(found(rows, "cat (pet)\nkitten (pet)", nms=True)) == 1
    assert len(found(rows, "cat (pet)\nkitten (young)", nms=True)) == 2
    assert found(rows, "cat (pet, 0.95)\nkitten (pet)", nms=True) == [("pet", 1, 1, 20, 20)]


def test_the_order_is_the_predictions() -> None:
    """Suppression leaves the order alone."""
    kept = found([cat(0, 0, 9, 9, 0.3), cat(50, 50, 60, 60, 0.9), cat(0, 1, 9, 9, 0.4)], nms=True)
    assert kept == [("cat", 50, 50, 10, 10), ("cat", 0, 1, 9, 8)]


def test_clipping_and_boxes_below_a_pixel() -> None:
    """Boxes are cut at the image; what has no pixel left goes; without clipping they reach out."""
    assert found([cat(90, 90, 130, 120), cat(100, 0, 120, 10), cat(5, 5, 5, 9)]) == [("cat", 90, 90, 10, 10)]
    assert found([cat(90, 90, 130, 120), cat(5, 5, 5, 9)], clip=False) == [("cat", 90, 90, 40, 30)]


def test_boxes_are_in_studios_pixels() -> None:
    """An image that Studio holds at half the size gets half the coordinates."""
    assert in_studio_frame((10, 20, 30, 40), Frame(200, 100), 100, 50) == (5, 10, 15, 20)


@pytest.mark.parametrize("orientation", range(5, 9))
def test_turned_images_are_turned_back_for_an_unturned_studio(orientation: int) -> None:
    """Where Studio counts the file's own rows and columns, the box lands on the file's own pixels."""
    stored = Image.new("L", (40, 30))
    stored.paste(255, (5, 10, 15, 14))
    exif = stored.getexif()
    exif[0x0112] = orientation
    stored.info["exif"] = exif.tobytes()
    upright = ImageOps.exif_transpose(stored)
    corners = upright.getbbox()
    assert corners is not None and upright.size == (30, 40)
    frame = Frame(30, 40, orientation)
    assert in_studio_frame(corners, frame, 40, 30) == (5, 10, 15, 14)
    assert in_studio_frame(corners, frame, 30, 40) == corners


def test_existing_boxes_stay_by_mode() -> None:
    """ "no" keeps all, "matching-prompt" those of other labels, exactly spelled, "yes" none."""
    there = [BoundingBox(label=name, x=0, y=0, width=5, height=5) for name in ("cat", "Cat", "dog")]
    labels = {"cat"}
    new = [BoundingBox(label="cat", x=50, y=50, width=5, height=5, score=0.7, source="s")]
    assert merged_boxes(there, new, labels, "no") == (*there, *new)
    assert merged_boxes(there, new, labels, "matching-prompt") == (*there[1:], *new)
    assert merged_boxes(there, new, labels, "yes") == tuple(new)


def test_a_box_that_is_there_is_not_added_again() -> None:
    """Running twice changes nothing; the existing box stays as it is."""
    old = BoundingBox(label="cat", x=1, y=2, width=3, height=4)
    new = old.model_copy(update={"score": 0.9, "source": "s"})
    assert merged_boxes([old], [new, new], {"cat"}, "no") == (old,)
    assert merged_boxes([old], [new, new], {"cat"}, "yes") == (new,)
