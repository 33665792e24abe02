"""The ids file: both shapes, and a sentence for everything that is wrong with it."""

from pathlib import Path

import pytest
from labelbus_cli.errors import BadInput
from labelbus_cli.ids_file import read_ids


def written(folder: Path, text: str) -> Path:
    path = folder / "ids.json"
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", ["[3, 1, 2]", '{"ids": [3, 1, 2]}', '["3", 1, " 2 "]', "\ufeff[3,1,2]"])
def test_both_shapes_are_read(tmp_path: Path, text: str) -> None:
    """A bare array and an object give the same ids, in the order of the file; digits may be texts."""
    assert read_ids(written(tmp_path, text)).ids == (3, 1, 2)


def test_repetitions_are_dropped_and_counted(tmp_path: Path) -> None:
    """An id that stands twice is one sample."""
    ids = read_ids(written(tmp_path, "[5, 5, 4, 5]"))
    assert (ids.ids, ids.repeated) == ((5, 4), 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2", "line 1, column 6"),
        ("[1,\n oops]", "line 2, column 2"),
        ('{"samples": [1]}', "without 'ids'"),
        ('"1"', "a text"),
        ("null", "null"),
        ("[]", "names no sample"),
        ('{"ids": []}', "names no sample"),
        ("[1, true]", "Item 2"),
        ("[1, 2.5]", "Item 2"),
        ("[1, -4]", "Item 2"),
        ("[1, 99999999999999999999]", "Item 2"),
        ("[[1]]", "Item 1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    """Every wrong file is refused with what and where."""
    with pytest.raises(BadInput, match=said.replace("(", r"\(")):
        read_ids(written(tmp_path, text))


def test_what_cannot_be_read_is_no_error_of_python(tmp_path: Path) -> None:
    """A folder and a text in another encoding are named as what they are."""
    with pytest.raises(BadInput, match=r"cannot be read: Is a directory\. Give the path of a JSON file\.$"):
        read_ids(tmp_path)
    path = tmp_path / "ids.json"
    path.write_bytes("[1, 2]".encode("utf-16"))
    with pytest.raises(BadInput, match=r"is no UTF-8 text\. It must be a JSON array"):
        read_ids(path)


def test_no_ids_are_allowed_where_that_is_asked_for(tmp_path: Path) -> None:
    """A block gets what its action finds, which may be nothing."""
    assert read_ids(written(tmp_path, "[]"), may_be_empty=True).lowest(3).ids == ()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The path that does not exist is in the text."""
    with pytest.raises(BadInput, match=r"gone\.json does not exist"):
        read_ids(tmp_path / "gone.json")


def test_a_limit_takes_the_lowest_ids(tmp_path: Path) -> None:
    """Sorted, as the official blocks do it; without a limit the order of the file stays."""
    ids = read_ids(written(tmp_path, "[9, 3, 7]"))
    assert ids.lowest(2).ids == (3, 7)
    assert ids.lowest(None).ids == ids.lowest(5).ids == (9, 3, 7)
