"""Actions kept in the ledger: names, revisions, and commands that take either a name or a file."""

from pathlib import Path

import pytest
from labelbus_cli.main import app
from labelbus_cli.stored_actions import Name, is_file
from labelbus_contracts.jobs import ActionSpec
from labelbus_ledger import actions
from labelbus_ledger.engine import Ledger, LedgerSettings
from typer.testing import CliRunner, Result

TEXT = """\
name: cats
steps:
  - labeler: owl-vit
    parameters:
      prompt: |
        a cat (cat, 0.2)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home of its own without keys, and a file with an action."""
    for name in ("EI_PROJECT_API_KEY", "LABELBUS_DATABASE_URL", "LABELBUS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LABELBUS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cats.yaml").write_text(TEXT)
    return tmp_path


def labelbus(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_a_changed_action_is_a_new_revision(home: Path) -> None:
    """The same text again is the same revision; every revision can be shown."""
    assert "cats@1" in labelbus("actions", "add", "cats.yaml").output
    assert "cats@1" in labelbus("actions", "add", "cats.yaml").output
    (home / "cats.yaml").write_text(TEXT.replace("0.2", "0.4"))
    assert "cats@2" in labelbus("actions", "add", "cats.yaml", "--note", "stricter").output
    assert "(cat, 0.4)" in labelbus("actions", "show", "cats").output
    assert "(cat, 0.2)" in labelbus("actions", "show", "cats@1").output
    lines = labelbus("actions", "list").output.splitlines()
    assert [line.split()[0] for line in lines] == ["cats@2", "cats@1"]
    assert lines[0].endswith("stricter")


def test_what_is_shown_validates(home: Path) -> None:
    """`actions show` prints a file."""
    labelbus("actions", "add", "cats.yaml")
    (home / "again.yaml").write_text(labelbus("actions", "show", "cats").output)
    assert "is right" in labelbus("actions", "validate", "again.yaml").output
    assert "is right" in labelbus("actions", "validate", "cats@1").output


def test_a_new_action_with_branches_validates(home: Path) -> None:
    """`actions new merge` prints branches and every parameter of merging."""
    (home / "both.yaml").write_text(labelbus("actions", "new", "merge").output)
    assert "is right" in labelbus("actions", "validate", "both.yaml").output
    assert all(name in (home / "both.yaml").read_text() for name in ("method", "votes", "iou"))


def test_a_removed_revision_is_never_used_again(home: Path) -> None:
    """Jobs name what they ran: the number stays that text's."""
    labelbus("actions", "add", "cats.yaml")
    assert labelbus("actions", "remove", "cats@1").exit_code == 0
    assert labelbus("actions", "show", "cats").exit_code == 2
    assert "cats@2" in labelbus("actions", "add", "cats.yaml").output
    assert "Removed 1 revision of" in labelbus("actions", "remove", "cats").output
    assert "no stored action yet" in labelbus("actions", "list").output


@pytest.mark.parametrize(
    ("name", "said"),
    [("cat", "Did you mean 'cats'?"), ("cats@9", "no revision 9"), ("gone.yaml", "does not exist")],
)
def test_a_wrong_name_is_refused_with_the_nearest(home: Path, name: str, said: str) -> None:
    """Exit code 2, for validate and run alike."""
    labelbus("actions", "add", "cats.yaml")
    for command in (("actions", "validate"), ("run",)):
        result = labelbus(*command, name)
        assert (result.exit_code, said in result.output) == (2, True), result.output


def test_a_name_that_looks_like_another_thing_is_not_stored(home: Path) -> None:
    """`x@3` and `x.yaml` could not be told from a revision and a file."""
    for name in ("x@3", "x.yaml", "a/b"):
        (home / "bad.yaml").write_text(TEXT.replace("cats", name))
        assert labelbus("actions", "add", "bad.yaml").exit_code == 2


def test_names_and_revisions_are_told_apart(home: Path) -> None:
    """Only a number behind the last @ is a revision."""
    assert Name.parse("a@b@12") == Name("a@b", 12)
    assert Name.parse("me@home") == Name("me@home")
    assert is_file("cats.yaml")
    assert not is_file("cats")


async def test_a_stored_action_knows_its_revision(tmp_path: Path) -> None:
    """What is read back is what was added, with its number; the newest without one."""
    ledger = await Ledger.open(LedgerSettings(home=tmp_path))
    one = ActionSpec.model_validate({"name": "a", "steps": [{"labeler": "x"}]})
    two = one.model_copy(update={"metadata_after": {"k": "v"}})
    await actions.add(ledger, one)
    stored = await actions.add(ledger, two, note="n")
    assert (stored.spec.shown_name, stored.note) == ("a@2", "n")
    async with ledger.read() as conn:
        assert await actions.find(conn, "a") == stored
        assert await actions.find(conn, "a", 3) is None
    await ledger.close()
