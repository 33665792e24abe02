"""Branches and data kinds in action files: what is read, and where faults are said to be."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from labelbus_cli.action_text import as_yaml
from labelbus_cli.actions import check_action, read_action
from labelbus_cli.errors import BadInput
from labelbus_contracts.jobs import ActionSpec
from labelbus_labeling.labeler import Registration

Labelers = dict[str, Registration]
Fault = Callable[[str], str]
BRANCHED = """\
name: two opinions
steps:
  - labeler: merge
    parameters: {method: vote, votes: 2, iou: 0.5}
    branches:
      - labeler: finder
        parameters: {prompt: "no"}
      - labeler: owl-vit
        parameters: {prompt: "a cat (cat, 0.2)"}
    when: {max_score: 0.5}
"""


@pytest.fixture
def labelers(labelers: Labelers) -> Labelers:
    """Add one that listens."""
    ears = replace(labelers["finder"], name="ears", operates_on=frozenset({"audio"}))
    return {**labelers, "ears": ears}


def test_branches_are_read(tmp_path: Path, labelers: Labelers) -> None:
    """A step with branches has one place for each, and its own condition."""
    path = tmp_path / "action.yaml"
    path.write_text(BRANCHED)
    action = read_action(path, labelers)
    assert [place.work.labeler for place in action.places] == ["finder", "owl-vit"]
    assert [(place.begins, place.ends) for place in action.places] == [(0, 2), (0, 2)]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("votes: 2", "votes: 3", "action.yaml:5:5: Step 0: 3 votes are more than its 2 branches"),
        ("iou: 0.5", "iuo: 0.5", "action.yaml:4:42: There is no parameter 'iuo'. Did you mean 'iou'?"),
        ("labeler: merge", "labeler: finder", "has the labeler merge, not finder"),
        ("labeler: owl-vit", "labeler: owl", "action.yaml:8:18: There is no labeler 'owl'"),
        ('prompt: "no"', "promt: x", "action.yaml:7:22: There is no parameter 'promt'"),
        ("      - labeler: owl-vit", "      - wehn: x\n        labeler: owl-vit", "Unknown key 'wehn'"),
        ("labeler: finder", "labeler: ears", "Step 0: owl-vit works on images"),
        (
            "method: vote, votes: 2",
            "weights: [1, -2]",
            "'weights[1]' is wrong: Input should be greater than 0",
        ),
        ("votes: 2", "weights: [1, 2]", "Step 0: weights are for the method fusion"),
        (
            "max_score: 0.5",
            "max_score: 0.2, min_score: 0.5",
            "action.yaml:10:5: Step 0: no score is at least 0.5",
        ),
    ],
)
def test_a_fault_in_branches_is_named_with_its_place(fault: Fault, old: str, new: str, said: str) -> None:
    """Line and column are those of the file."""
    assert said in fault(BRANCHED.replace(old, new, 1))


def test_steps_for_different_data_are_refused(fault: Fault) -> None:
    """Images and audio in one action: the second step is named, with its place."""
    text = (
        "name: x\nsteps:\n- labeler: finder\n  parameters: {prompt: a}\n"
        "- labeler: ears\n  parameters: {prompt: a}\n"
    )
    assert fault(text) == (
        "action.yaml:5:12: Step 1: ears works on audio, and finder on none of these. "
        "Make two actions of them."
    )


def test_only_the_first_step_splits_videos(fault: Fault, labelers: Labelers) -> None:
    """Frames join a job as samples that nothing has been done with: a later step is refused."""
    labelers["cutter"] = replace(labelers["finder"], name="cutter", splits_videos=lambda _: 2)
    text = (
        "name: x\nsteps:\n- labeler: finder\n  parameters: {prompt: a}\n"
        "- labeler: cutter\n  parameters: {prompt: a}\n"
    )
    assert fault(text) == (
        "action.yaml:5:12: Step 1: cutter splits videos, which only the first step can. Move it there."
    )


def test_a_revision_is_not_given_in_a_file(fault: Fault) -> None:
    """The ledger counts revisions."""
    assert "Unknown key 'revision'" in fault(f"revision: 2\n{BRANCHED}")


def test_an_action_is_written_as_it_is_read(tmp_path: Path, labelers: Labelers) -> None:
    """Texts of several lines, words of truth and branches come back the same."""
    path = tmp_path / "action.yaml"
    path.write_text(BRANCHED.replace('"no"', '"no\\nyes\\n"') + "metadata_after: {reviewed: no}\n")
    action = read_action(path, labelers)
    path.write_text(as_yaml(action.model_copy(update={"revision": 4})))
    assert read_action(path, labelers) == action


def test_a_stored_action_is_checked_like_a_file(labelers: Labelers) -> None:
    """What was right once may name a labeler that is gone."""
    spec = ActionSpec.model_validate({"name": "old", "revision": 2, "steps": [{"labeler": "gone"}]})
    with pytest.raises(BadInput, match="action old@2:1:1: There is no labeler 'gone'"):
        check_action(spec, labelers)
