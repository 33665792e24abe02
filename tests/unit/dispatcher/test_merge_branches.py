"""Merging the drafts of branches: boxes by fusion or vote, ranges piece by piece, class labels by vote."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelbus_contracts.jobs import ActionSpec, Place, StepSpec
from labelbus_contracts.labels import BoundingBox, ClassLabel, LabelSet, TimeRange, painted, same_content
from labelbus_dispatcher.fusion import merged_boxes
from labelbus_dispatcher.merge import MergeParameters, merge_fault, merged
from labelbus_labeling.geometry import overlap

SCORES = st.none() | st.floats(0, 1)
BOXES = st.lists(
    st.builds(
        BoundingBox,
        label=st.sampled_from(["cat", "dog"]),
        x=st.integers(-5, 40),
        y=st.integers(-5, 40),
        width=st.integers(0, 40),
        height=st.integers(0, 40),
        score=SCORES,
    ),
    max_size=6,
).map(tuple)
RANGES = st.lists(
    st.builds(
        lambda start, length, label, score: TimeRange(
            start_index=start, end_index=start + length, label=label, score=score
        ),
        st.integers(0, 30),
        st.integers(0, 12),
        st.sampled_from(["hum", "clap"]),
        SCORES,
    ),
    max_size=6,
).map(tuple)
DRAFTS = st.builds(
    LabelSet,
    label=st.none() | st.builds(ClassLabel, label=st.sampled_from(["a", "b"]), score=SCORES),
    boxes=BOXES,
    ranges=RANGES,
    metadata=st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["1", "2"])),
)

PAIR = [{"labeler": "a"}, {"labeler": "b"}]


def place(branches: int = 2, **parameters: object) -> Place:
    """Return the place of a step whose branches are called one, two and so on."""
    names = ("one", "two", "three")[:branches]
    step = StepSpec.model_validate(
        {"labeler": "merge", "parameters": parameters, "branches": [{"labeler": name} for name in names]}
    )
    return ActionSpec(name="a", steps=(step,)).places[0]


def box(label: str, x: int, score: float | None, **more: int) -> BoundingBox:
    """Return a box of 10 * 10 pixels at height 0."""
    return BoundingBox.model_validate(
        {"label": label, "x": x, "y": 0, "width": 10, "height": 10, "score": score} | more
    )


def boxes(*branches: tuple[BoundingBox, ...], **parameters: object) -> list[BoundingBox]:
    """Return the merged boxes of branches."""
    drafts = [LabelSet(boxes=one) for one in branches]
    return list(merged(LabelSet(), drafts, place(len(branches), **parameters)).boxes)


def test_fused_edges_are_averages_weighted_by_score() -> None:
    """At scores 0.9 and 0.3 the edge stands a quarter of the way; the score is the mean, the votes stay."""
    (fused,) = boxes((box("cat", 0, 0.9),), (box("cat", 4, 0.3),), iou=0.3)
    assert (fused.x, fused.width) == (1, 10)
    assert fused.score == pytest.approx(0.6)
    assert fused.source == "merge#0"
    assert [(vote.source, vote.score) for vote in fused.votes] == [("one#0", 0.9), ("two#1", 0.3)]


def test_weights_draw_edges_and_scores_to_the_branches_that_count_more() -> None:
    """Of equal scores the edge stands a quarter of the way from the branch that counts three times."""
    pair = ((box("cat", 0, 0.8),), (box("cat", 4, 0.8),))
    (fused,) = boxes(*pair, iou=0.3, weights=[3, 1])
    assert fused.x == 1
    assert fused.score == pytest.approx(0.8)
    assert boxes(*pair, iou=0.3, weights=[6, 2]) == [fused]
    assert boxes(*pair, iou=0.3, weights=[2, 2]) == boxes(*pair, iou=0.3)
    lonely = ((box("cat", 0, 0.8),), ())
    assert [one.score for one in boxes(*lonely, weights=[3, 1])] == [pytest.approx(0.6)]
    assert [one.score for one in boxes(*lonely, weights=[1, 3])] == [pytest.approx(0.2)]


@settings(max_examples=100, deadline=None)
@given(
    drafts=st.lists(BOXES, min_size=2, max_size=2),
    weights=st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)),
)
def test_whatever_the_weights_a_box_stays_within_its_members(
    drafts: list[tuple[BoundingBox, ...]], weights: tuple[float, float]
) -> None:
    """Weights move edges between the members' and scores between 0 and 1; they lose no box's vote."""
    given = [{one.content: one for one in draft} for draft in drafts]
    found = boxes(*drafts, weights=list(weights))
    assert sum(len(one.votes) or 2 for one in found) == sum(map(len, drafts))
    for one in found:
        near = [other for draft in given for other in draft.values() if other.label == one.label]
        assert min(other.x for other in near) <= one.x <= max(other.x for other in near)
        assert one.score is None or 0 <= one.score <= 1


def test_what_one_of_two_branches_found_is_half_as_certain() -> None:
    """A box without support loses score by fusion; asking for two votes drops it."""
    lonely = ((box("cat", 0, 0.8),), ())
    assert [one.score for one in boxes(*lonely)] == [0.4]
    assert boxes(*lonely, votes=2) == []


def test_a_vote_takes_the_best_box_as_it_is() -> None:
    """Two of three branches agree on a cat; the third one's dog at the same place is outvoted."""
    found = boxes((box("cat", 0, 0.5),), (box("cat", 1, 0.7),), (box("dog", 0, 0.9),), method="vote", iou=0.5)
    assert [(one.label, one.x, one.score) for one in found] == [("cat", 1, 0.7)]


def test_boxes_that_nobody_touched_stay_themselves() -> None:
    """A person's box in every branch is neither scored nor signed; a box of two branches is."""
    person = box("cat", 50, None)
    kept, found = boxes((person, box("cat", 0, 0.5)), (person, box("cat", 0, 0.7)))
    assert kept == person
    assert found.votes


@settings(max_examples=100, deadline=None)
@given(drafts=st.lists(BOXES, min_size=2, max_size=3), seed=st.integers(0, 2**16))
def test_the_order_of_branches_changes_no_box(drafts: list[tuple[BoundingBox, ...]], seed: int) -> None:
    """The same boxes come out, whole pixels, whatever order branches and boxes have."""
    mixed = [tuple(random.Random(seed).sample(one, len(one))) for one in drafts]
    random.Random(seed).shuffle(mixed)
    names = [str(nr) for nr in range(len(drafts))]
    one, other = (
        merged_boxes(given, names, method="fusion", iou=0.55, votes=1, source="merge#0")
        for given in (drafts, mixed)
    )
    assert sorted(box.content for box in one) == sorted(box.content for box in other)
    assert all(box.width >= 0 and box.height >= 0 for box in one)


@settings(max_examples=100, deadline=None)
@given(drafts=st.lists(BOXES, min_size=3, max_size=3), votes=st.integers(1, 3))
def test_every_box_kept_was_found_by_enough_branches(
    drafts: list[tuple[BoundingBox, ...]], votes: int
) -> None:
    """More votes keep fewer boxes; each is where its label was found, within its members' edges."""
    kept = boxes(*drafts, votes=votes)
    assert len(kept) <= len(boxes(*drafts, votes=1))
    for one in kept:
        found = [other for draft in drafts for other in draft if other.label == one.label]
        assert min(other.x for other in found) <= one.x <= max(other.x for other in found)


@settings(max_examples=100, deadline=None)
@given(draft=DRAFTS, before=DRAFTS, branches=st.integers(2, 3), method=st.sampled_from(["fusion", "vote"]))
def test_equal_drafts_merge_into_themselves(
    draft: LabelSet, before: LabelSet, branches: int, method: str
) -> None:
    """Whatever the step got, branches that agree in everything are believed."""
    made = merged(before, [draft] * branches, place(branches, method=method))
    assert same_content(made, draft)
    assert made.boxes == draft.boxes


@settings(max_examples=100, deadline=None)
@given(one=RANGES, two=RANGES, before=RANGES)
def test_merged_ranges_never_overlap(
    one: tuple[TimeRange, ...], two: tuple[TimeRange, ...], before: tuple[TimeRange, ...]
) -> None:
    """Pieces follow each other, and cover exactly what some branch covered."""
    drafts = [LabelSet(ranges=one), LabelSet(ranges=two)]
    made = merged(LabelSet(ranges=before), drafts, place(2)).ranges
    if one == two == before:
        assert made == before
        return
    assert all(left.end_index < right.start_index for left, right in pairwise(made))
    covered = {index for start, end, *_ in painted(made) for index in range(start, end + 1)}
    wanted = {index for start, end, *_ in painted((*one, *two)) for index in range(start, end + 1)}
    assert covered == wanted


def test_ranges_are_voted_on_piece_by_piece() -> None:
    """Where two agree they win, where they do not the higher score does."""
    one = (TimeRange(start_index=0, end_index=9, label="hum", score=0.9),)
    two = (
        TimeRange(start_index=0, end_index=4, label="hum", score=0.5),
        TimeRange(start_index=5, end_index=9, label="clap", score=0.6),
    )
    made = merged(LabelSet(), [LabelSet(ranges=one), LabelSet(ranges=two)], place(2)).ranges
    assert [(span.start_index, span.end_index, span.label) for span in made] == [(0, 4, "hum"), (5, 9, "hum")]
    assert made[0].score == pytest.approx(0.7)
    assert [vote.label for vote in made[1].votes] == ["hum", "clap"]


def test_a_class_label_needs_its_votes() -> None:
    """Two of three decide; where nobody agrees the label stays as it was."""
    before = LabelSet(label=ClassLabel(label="old"))
    say = [LabelSet(label=ClassLabel(label=text, score=0.5)) for text in ("cat", "dog", "cat")]
    made = merged(before, say, place(3, method="vote")).label
    assert made is not None
    assert (made.label, made.score, len(made.votes)) == ("cat", 0.5, 3)
    assert merged(before, say[:2], place(2, method="vote")).label == before.label


def test_metadata_of_every_branch_is_kept() -> None:
    """Each branch adds its own; the first to set a key wins; a sample is disabled by more than half."""
    before = LabelSet(metadata={"site": "x"})
    one = LabelSet(metadata={"site": "x", "by": "one"}, disabled=True)
    two = LabelSet(metadata={"site": "y", "by": "two"})
    made = merged(before, [one, two], place())
    assert made.metadata == {"site": "y", "by": "one"}
    assert not made.disabled


def test_the_smallest_scores_move_no_edge() -> None:
    """Rounding of weights near zero does not part equal boxes."""
    tiny = (box("cat", 0, None, width=0, height=0), box("cat", 0, 3.8e-111, width=0, height=7))
    assert boxes(tiny, tiny) == boxes(tiny, tiny, iou=1)
    assert len(boxes(tiny, tiny)) == 2


def test_boxes_without_an_area_meet_only_themselves() -> None:
    """No division by zero."""
    assert overlap((1, 1, 1, 1), (1, 1, 1, 1)) == 1.0
    assert overlap((1, 1, 1, 1), (0, 0, 2, 2)) == 0.0


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"labeler": "merge"}, "needs branches"),
        ({"labeler": "one", "branches": [{"labeler": "a"}, {"labeler": "b"}]}, "has the labeler merge"),
        ({"labeler": "merge", "branches": [{"labeler": "a"}]}, "nothing to merge"),
        ({"labeler": "merge", "branches": [{"labeler": "a"}, {"labeler": "merge"}]}, "cannot be a merge"),
        ({"labeler": "merge", "parameters": {"votes": 3}, "branches": PAIR}, "3 votes"),
        ({"labeler": "merge", "parameters": {"weights": [1]}, "branches": PAIR}, "2 branches and 1 weights"),
        (
            {"labeler": "merge", "parameters": {"method": "vote", "weights": [1, 2]}, "branches": PAIR},
            "in a vote every branch counts once",
        ),
    ],
)
def test_wrong_branches_are_refused(step: dict[str, object], said: str) -> None:
    """The sentence says what is wrong."""
    assert said in (merge_fault(StepSpec.model_validate(step)) or "")


def test_more_than_half_is_the_default_of_a_vote() -> None:
    """Fusion believes one."""
    assert MergeParameters(method="vote").needed(4) == 3
    assert MergeParameters().needed(4) == 1
