"""What blocks send, read as Studio reads it."""

from typing import Any

import pytest
from labelbus_customblock.bodies import boxes_of, changes_of, json_object, metadata_of, ranges_of
from labelbus_customblock.errors import BadWrite

BOX = {"label": "a", "x": 1, "y": 2, "width": 3, "height": 4}


def of(start: object, end: object, **more: object) -> dict[str, object]:
    """Return a structured label."""
    return {"startIndex": start, "endIndex": end, "label": "a", **more}


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ([of(0, 4), of(6, 9)], "say nothing of index 5"),
        ([of(0, 8)], "say nothing of index 9"),
        ([], "say nothing of index 0"),
        ([of(0, 10)], "no part of the sample of 10 values"),
        ([of(5, 4)], "goes from 5 to 4"),
        ([of(0.5, 9)], "startIndex is 0.5"),
        ([of(0, True)], "endIndex is True"),
        ("all", "no list"),
    ],
)
def test_ranges_must_cover_the_sample(ranges: Any, said: str) -> None:
    """As Studio's own check has it, the fault is named."""
    with pytest.raises(BadWrite, match=said):
        ranges_of(ranges, 10)


def test_ranges_may_overlap() -> None:
    """Both ends are included; maps are read in the form of the API."""
    named = {"type": "key-values", "labels": {"k": "v"}}
    first, second = ranges_of([of(0, 6), of(5, 9, labelMap=named)], 10)
    assert (first.start_index, second.end_index, second.label_map) == (0, 9, {"k": "v"})


@pytest.mark.parametrize("x", ["1", None, True, float("nan"), float("inf"), 1e12, [1]])
def test_boxes_are_numbers(x: object) -> None:
    """Anything else is refused by name."""
    with pytest.raises(BadWrite, match=r"boundingBoxes\[0\].x"):
        boxes_of([BOX | {"x": x}])


def test_scores_are_kept() -> None:
    """A score that Studio would drop stays with us; none stays none; more than 1 is refused."""
    assert [box.score for box in boxes_of([BOX, BOX | {"score": 0.5}])] == [None, 0.5]
    with pytest.raises(BadWrite, match="score"):
        boxes_of([BOX | {"score": 7}])


def test_metadata_is_text() -> None:
    """Numbers and truth values are written as JSON writes them; the rest is refused."""
    assert metadata_of({"n": 1, "f": 0.5, "t": True}) == {"n": "1", "f": "0.5", "t": "true"}
    with pytest.raises(BadWrite, match="'deep'"):
        metadata_of({"deep": {}})


def test_unknown_changes_are_refused() -> None:
    """What would be lost silently is said; null means not given."""
    assert changes_of({"label": None, "isDisabled": False}, values_count=None).is_disabled is False
    with pytest.raises(BadWrite, match="'category'"):
        changes_of({"category": "testing"}, values_count=None)


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff"])
def test_bodies_are_objects(content: bytes) -> None:
    """Nothing at all counts as an empty one."""
    assert json_object(b" ") == {}
    with pytest.raises(BadWrite):
        json_object(content)
