"""The prompt grammar: the official block's table, and clear errors where it failed."""

import pytest
from labelbus_detector.errors import PromptError
from labelbus_detector.parameters import OwlVitParameters
from labelbus_detector.prompt import PromptLine, parse_prompt, phrases
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("beer bottle (beer, 0.2)", PromptLine("beer bottle", "beer", 0.2)),
        ("beer bottle (beer)", PromptLine("beer bottle", "beer")),
        ("beer bottle", PromptLine("beer bottle", "beer bottle")),
        ("  beer bottle  ", PromptLine("beer bottle", "beer bottle")),
        ("x (0.3)", PromptLine("x", "0.3")),
        ("x (,0.3)", PromptLine("x", "", 0.3)),
        ("x ()", PromptLine("x", "")),
        ("A person (person, 0.2) extra", PromptLine("A person", "person", 0.2)),
        ("a )b( c", PromptLine("a )b", "")),
        ("a (b) c (d, 0.5)", PromptLine("a (b) c", "d", 0.5)),
        ("Cat (CAT, 1)", PromptLine("Cat", "CAT", 1.0)),
        ("x (a, 0.2, more)", PromptLine("x", "a", 0.2)),
        ("x (a", PromptLine("x (a", "x (a")),
    ],
)
def test_a_line_reads_as_in_the_official_block(text: str, line: PromptLine) -> None:
    """Every row of the official grammar gives phrase, label and minimum."""
    assert parse_prompt(text) == (line,)


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("x (a, b, 0.2)", 1, 7, "'b' is no number"),
        ("x (a, )", 1, 7, "a number is missing"),
        ("ok\nx (a, 1.5)", 2, 7, "1.5 lies outside 0 to 1"),
        ("x (a, -0.1)", 1, 7, "outside"),
        ("x (a, nan)", 1, 7, "outside"),
        ("ok\n\n  (a, 0.5)", 3, 3, "no search phrase"),
        ("   \n", 1, 1, "names nothing"),
        ("", 1, 1, "names nothing"),
    ],
)
def test_an_unreadable_prompt_says_where(text: str, line: int, column: int, says: str) -> None:
    """Errors carry line and column, counted from 1, and what is wrong there."""
    with pytest.raises(PromptError, match=says) as caught:
        parse_prompt(text)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_a_comma_in_a_label_is_explained() -> None:
    """The message says that labels hold no commas."""
    with pytest.raises(PromptError, match="cannot contain a comma"):
        parse_prompt("x (a, b, 0.2)")


def test_lines_of_blanks_are_skipped() -> None:
    """Blank lines between phrases make no query."""
    assert [one.phrase for one in parse_prompt("cat\n   \n\ndog\n")] == ["cat", "dog"]


def test_backslash_n_is_a_newline() -> None:
    """Studio hands over several lines with the two characters backslash-n between them."""
    assert [one.label for one in parse_prompt("a cat (cat, 0.2)\\na dog (dog)")] == ["cat", "dog"]


def test_a_phrase_on_two_lines_is_searched_once() -> None:
    """Both lines stay, the query is one."""
    lines = parse_prompt("car (far, 0.1)\ncar (near, 0.6)\nbus")
    assert len(lines) == 3
    assert phrases(lines) == ("car", "bus")


def test_parameters_report_a_bad_prompt() -> None:
    """pydantic carries the prompt's own words."""
    with pytest.raises(ValidationError, match="line 2, column 6: the minimum confidence 7"):
        OwlVitParameters(prompt="a\nb (c,7)")


def test_parameters_take_studios_strings() -> None:
    """Values that arrive as text, and blanks for absent ones, are read."""
    read = OwlVitParameters.model_validate(
        {"prompt": "a\\nb", "nms": "true", "nms_iou_threshold": "0.3", "ignore_objects_larger_than": ""}
    )
    assert (read.prompt, read.nms, read.nms_iou_threshold) == ("a\nb", True, 0.3)
    assert read.ignore_objects_larger_than is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nms_iou_threshold", 1.1),
        ("ignore_objects_smaller_than", -1),
        ("ignore_objects_larger_than", 101),
        ("threshold", "nan"),
        ("delete_existing_bounding_boxes", "maybe"),
        ("prompts", "unknown"),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, value: object) -> None:
    """Ratios lie in 0 to 1, percentages in 0 to 100, unknown names are errors."""
    with pytest.raises(ValidationError):
        OwlVitParameters.model_validate({"prompt": "a", name: value})


def test_the_official_names_are_kept() -> None:
    """The options are the official block's, underscores included."""
    fields = OwlVitParameters.model_fields
    names = {str((field.json_schema_extra or {})["param"]) for field in fields.values()}  # type: ignore[index]
    assert "--delete_existing_bounding_boxes" in names
    assert {"--prompt", "--nms", "--nms-iou-threshold", "--ignore-objects-smaller-than"} <= names
