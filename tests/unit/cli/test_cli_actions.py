"""Action files: what is read, and where every fault is said to be."""

from collections.abc import Callable
from pathlib import Path

import pytest
from labelbus_cli.action_template import template
from labelbus_cli.actions import read_action
from labelbus_cli.errors import BadInput
from labelbus_labeling.labeler import Registration
from labelbus_labeling.registry import installed

Labelers = dict[str, Registration]
Fault = Callable[[str], str]
GOOD = """\
name: find things
steps:
  - labeler: finder
    parameters:
      prompt: |
        a cat
        a dog
      mode: fast
    when:
      labels: [thing]
      max_score: 0.5
data:
  which: unlabeled
  without_metadata: {key: labeled_by}
metadata_after:
  reviewed: no
"""


def test_a_whole_action_is_read(tmp_path: Path, labelers: Labelers) -> None:
    """Steps, condition, filter and metadata arrive; `no` is a text, not a truth value."""
    path = tmp_path / "action.yaml"
    path.write_text(GOOD)
    action = read_action(path, labelers)
    step = action.steps[0]
    assert step.parameters == {"prompt": "a cat\na dog\n", "mode": "fast"}
    assert step.when is not None
    assert (step.when.labels, step.when.max_score) == (("thing",), 0.5)
    assert action.data.which == "unlabeled"
    assert action.metadata_after == {"reviewed": "no"}


def test_an_action_without_steps_is_empty(fault: Fault) -> None:
    """The list is named, and what to do."""
    assert fault("name: a\nsteps: []\n") == "action.yaml:2:8: 'steps' is empty. Name one at least."
    assert "empty" not in fault("name: a\nsteps:\n  - labeller: finder\n")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "labeler: finder",
            "labeler: findr",
            "action.yaml:3:14: There is no labeler 'findr'. Did you mean 'finder'?",
        ),
        ("mode: fast", "mood: fast", "action.yaml:8:7: There is no parameter 'mood'. Did you mean 'mode'?"),
        ("mode: fast", "mode: quick", "action.yaml:8:13: 'mode' is wrong"),
        ("mode: fast", "strictness: high", "action.yaml:8:19: 'strictness' is wrong"),
        ("mode: fast", "strictness: 7", "action.yaml:8:19: 'strictness' is wrong"),
        ("which: unlabeled", "which: some", "action.yaml:13:10: 'which' is wrong"),
        ("which: unlabeled", "wich: all", "action.yaml:13:3: Unknown key 'wich'. Did you mean 'which'?"),
        ("{key: labeled_by}", "{value: x}", "action.yaml:14:21: 'key' is missing"),
        (
            "{key: labeled_by}",
            "{key: a, vlue: x}",
            "action.yaml:14:30: Unknown key 'vlue'. Did you mean 'value'?",
        ),
        ("max_score: 0.5", "max_score: 2", "action.yaml:11:18: 'max_score' is wrong"),
        ("max_score: 0.5", "max_scores: 1", "action.yaml:11:7: Unknown key 'max_scores'"),
        ("name: find things", "nam: x", "action.yaml:1:1: 'name' is missing"),
        ("name: find things", "nam: x", "action.yaml:1:1: Unknown key 'nam'. Did you mean 'name'?"),
        ("mode: fast", "mode: fast\n      mode: good", "action.yaml:9:7: The key 'mode' is given twice"),
        ("reviewed: no", "reviewed: 3", "(given: 3). Write it in quotes."),
        ("{key: labeled_by}", "labeled_by", "'without_metadata' is wrong: it takes a mapping"),
        ("mode: fast", "mode: [", "Not YAML"),
        ("mode: fast", "mode: !!python/object:os.system x", "Not YAML"),
    ],
)
def test_a_fault_is_named_with_its_place(fault: Fault, old: str, new: str, said: str) -> None:
    """Every wrong file is refused with file, line, column, and the nearest right word."""
    assert said in fault(GOOD.replace(old, new))


def test_all_faults_are_said_at_once(fault: Fault) -> None:
    """One run of the check names every wrong parameter."""
    text = GOOD.replace("mode: fast", "mode: quick\n      limit: many")
    assert len(fault(text).splitlines()) == 2


def test_a_wrong_prompt_is_shown_where_it_stands(fault: Fault) -> None:
    """Line and column of the fault inside a text of several lines are those of the file."""
    text = (
        "name: x\nsteps:\n  - labeler: owl-vit\n    parameters:\n      prompt: |\n"
        "        a cat (cat, 0.2)\n        a dog (dog, high)\n"
    )
    assert fault(text).startswith("action.yaml:7:21: 'prompt' is wrong: 'high' is no number")


def test_a_prompt_of_one_line_is_shown_where_it_stands(fault: Fault) -> None:
    """In a plain text the column counts from the text's first character."""
    text = "name: x\nsteps:\n- labeler: owl-vit\n  parameters:\n    prompt: a dog (dog, high)\n"
    assert "action.yaml:5:25: 'prompt' is wrong" in fault(text)


def test_an_empty_file_and_a_missing_one_are_refused(
    tmp_path: Path, labelers: Labelers, fault: Fault
) -> None:
    """Both texts say how to get a file."""
    assert "The file is empty" in fault("")
    with pytest.raises(BadInput, match="labelbus actions new"):
        read_action(tmp_path / "gone.yaml", labelers)
    with pytest.raises(BadInput, match="Give the path of a YAML file"):
        read_action(tmp_path, labelers)
    (tmp_path / "wide.yaml").write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(BadInput, match="Save it as UTF-8"):
        read_action(tmp_path / "wide.yaml", labelers)


def test_a_title_that_asks_keeps_its_mark() -> None:
    """No full stop follows it."""
    assert "re-label? The labels of" in template(installed()["relabel"])


@pytest.mark.parametrize("name", ["owl-vit", "finder"])
def test_a_new_action_file_is_right(tmp_path: Path, labelers: Labelers, name: str) -> None:
    """What `actions new` writes passes the check, and names every parameter."""
    text = template(labelers[name])
    path = tmp_path / "action.yaml"
    path.write_text(text)
    assert read_action(path, labelers).steps[0].labeler == name
    assert all(field in text for field in labelers[name].parameters.model_fields)
