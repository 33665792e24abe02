"""From an impulse's answer to labels: units, clipping, renaming."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelbus_classifier.answers import are_shares, boxes_of, label_of
from labelbus_classifier.errors import KeepListError
from labelbus_classifier.keeping import kept_label, parse_keep
from labelbus_studio.project_calls import ScoredBox

SIZE = (320, 240)


def box(x: float, y: float, width: float, height: float, label: str = "cat") -> ScoredBox:
    """Return a box as Studio answers it."""
    return ScoredBox(label, x, y, width, height, 0.9)


def test_shares_of_the_image_become_pixels() -> None:
    """The documented unit is recognised and scaled to the image."""
    (found,) = boxes_of([box(0.25, 0.5, 0.5, 0.25)], SIZE, kept={"cat": "dog"}, source="pretrained#0")
    assert found.content == ("dog", 80, 120, 160, 60)
    assert (found.score, found.source) == (0.9, "pretrained#0")


def test_pixels_are_rounded_and_clipped() -> None:
    """What cannot be shares is pixels; what lies outside is cut off, and nothing is no box."""
    raw = [box(-5.4, 3.5, 50.2, 20.6), box(300, 200, 90, 90), box(400, 10, 5, 5)]
    found = boxes_of(raw, SIZE, kept={"cat": "cat"}, source="s")
    assert [one.content for one in found] == [("cat", 0, 4, 45, 20), ("cat", 300, 200, 20, 40)]


@given(st.lists(st.tuples(*[st.floats(0, 0.5)] * 4), max_size=5))
def test_scaling_shares_is_scaling_pixels(corners: list[tuple[float, float, float, float]]) -> None:
    """A box in shares and the same box in pixels give the same result, within the rounding."""
    shares = [box(*one) for one in corners] + [box(0.1, 0.1, 0.5, 0.5)]
    pixels = [box(x.x * 320, x.y * 240, x.width * 320, x.height * 240) for x in shares]
    assert are_shares(shares)
    assert not are_shares(pixels)
    results = [boxes_of(found, SIZE, kept={"cat": "cat"}, source="s") for found in (shares, pixels)]
    assert [one.content for one in results[0]] == [one.content for one in results[1]]


def test_the_best_label_is_none_of_the_anomaly() -> None:
    """The anomaly score is no label; the first of equals wins."""
    found = label_of({"a": 0.4, "anomaly": 3.2, "b": 0.4}, source="s")
    assert found is not None
    assert (found.label, found.score) == ("a", 0.4)
    assert label_of({"anomaly": 0.1}, source="s") is None


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (None, None),
        (" \n ", None),
        ("Bottle, person|cup\nmug", {"bottle": "bottle", "person": "person", "cup": "cup", "mug": "mug"}),
        (r"bottle (Beer)\ncup", {"bottle": "Beer", "cup": "cup"}),
        ("a (b (c))", {"a": "b (c)"}),
        ("cup,", {"cup": "cup"}),
    ],
)
def test_the_list_is_read_as_officially(text: str | None, kept: dict[str, str] | None) -> None:
    """By newline, comma or bar, new names in parentheses; blank entries name nothing."""
    assert parse_keep(text) == kept


@pytest.mark.parametrize("text", ["a (b) c", "(b)", "a ()"])
def test_an_entry_that_cannot_be_read_is_named(text: str) -> None:
    """With how to write it."""
    with pytest.raises(KeepListError, match="Write 'label'"):
        parse_keep(text)


def test_kept_labels_keep_their_spelling() -> None:
    """Only another name changes a label; what the list does not name is dropped."""
    kept = parse_keep("bottle (Beer)\nCUP (cup)")
    assert [kept_label(one, kept) for one in ("Bottle", "Cup", "mug")] == ["Beer", "Cup", None]
    assert kept_label("anything", None) == "anything"
