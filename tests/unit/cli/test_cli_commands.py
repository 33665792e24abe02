"""The command line itself: what is quick, what is said, which exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from labelbus_cli.main import app
from typer.testing import CliRunner, Result


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home of its own without keys."""
    for name in ("EI_PROJECT_API_KEY", "LABELBUS_DATABASE_URL", "LABELBUS_SECRET_KEYS", "LABELBUS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LABELBUS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def labelbus(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin, catch_exceptions=False)


def test_help_loads_nothing_heavy() -> None:
    """`labelbus --help` imports neither models nor Kafka nor the ledger."""
    heavy = ["torch", "transformers", "faststream", "sqlalchemy", "httpx", "PIL", "pydantic"]
    code = f"import sys, labelbus_cli.main; print([m for m in {heavy!r} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_looking_at_jobs_loads_no_service() -> None:
    """`labelbus jobs list` imports neither services nor a cluster's models."""
    heavy = ["labelbus_cli.embedded", "labelbus_cli.cluster_api", "labelbus_committer", "PIL", "fastapi"]
    code = f"import sys, labelbus_cli.job_views; print([m for m in {heavy!r} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_the_end_of_the_process_is_a_plain_one() -> None:
    """What is to run at the end runs, texts arrive, and the exit code is the command's."""
    code = "import atexit; atexit.register(print, 'bye'); from labelbus_cli.main import run; run()"
    said = subprocess.run(
        [sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines()[-1] == "bye"
    wrong = subprocess.run([sys.executable, "-c", code, "jbs"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, "Did you mean 'jobs'?" in wrong.stderr) == (2, True)


def test_a_bug_shows_its_traceback() -> None:
    """What nobody classified ends with exit code 1 and the traceback."""
    code = "import labelbus_cli.main as main; main.app = lambda: {}['a bug']; main.run()"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (said.returncode, "KeyError: 'a bug'" in said.stderr) == (1, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_under_the_output_is_said() -> None:
    """No traceback where the output has no room."""
    command = [sys.executable, "-c", "from labelbus_cli.main import run; run()", "actions", "new", "owl-vit"]
    with Path("/dev/full").open("w") as full:
        said = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (said.returncode, said.stderr.startswith("The disk has no room left to write on.")) == (1, True)
    assert len(said.stderr.splitlines()) == 1


@pytest.mark.parametrize("content", ["A=1\n".encode("utf-16"), b"A=1\0\n"], ids=["UTF-16", "a zero byte"])
def test_a_dotenv_that_is_no_text_is_named(home: Path, content: bytes) -> None:
    """One sentence, exit code 2."""
    (home / ".env").write_bytes(content)
    said = labelbus("jobs", "list")
    assert (said.exit_code, ".env is no UTF-8 text" in said.output) == (2, True)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """No traceback where a path leads nowhere."""
    (tmp_path / "file").touch()
    said = labelbus("demo", "--folder", str(tmp_path / "file" / "folder"))
    assert (said.exit_code, "file/folder cannot be used: Not a directory." in said.output) == (1, True)


def test_every_command_has_help() -> None:
    """No group or command fails to describe itself."""
    for group in ("run", "actions", "jobs", "block", "submit", "serve", "start", "ledger", "secrets", "demo"):
        assert labelbus(group, "--help").exit_code == 0


def test_the_version_is_printed() -> None:
    """--version says name and version."""
    assert labelbus("--version").output.startswith("labelbus 0.")


def test_a_new_action_validates(home: Path) -> None:
    """What `actions new` prints, `actions validate` accepts."""
    (home / "action.yaml").write_text(labelbus("actions", "new", "owl-vit").output)
    assert "is right" in labelbus("actions", "validate", "action.yaml").output
    wrong = labelbus("actions", "new", "owl-vti")
    assert (wrong.exit_code, "Did you mean 'owl-vit'?" in wrong.output) == (2, True)


def test_bad_input_is_one_sentence(home: Path) -> None:
    """Missing files and keys end with exit code 2 and no traceback."""
    missing = labelbus("run", "gone.yaml")
    assert missing.exit_code == 2
    assert "gone.yaml does not exist" in missing.output
    (home / "action.yaml").write_text(labelbus("actions", "new", "owl-vit").output)
    keyless = labelbus("run", "action.yaml")
    assert (keyless.exit_code, "Missing EI_PROJECT_API_KEY" in keyless.output) == (2, True)
    both = labelbus("run", "action.yaml", "--apply", "--propose-actions", "3")
    assert both.exit_code == 2


def test_an_empty_ledger_says_how_to_begin(home: Path) -> None:
    """No job is no error; a job that is not there is one."""
    assert "no job yet" in labelbus("jobs", "list").output
    assert labelbus("jobs", "watch", "abc").exit_code == 2


def test_secrets_come_by_stdin_only(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stored key is named ledger:NAME and printed nowhere."""
    monkeypatch.setenv("LABELBUS_SECRET_KEYS", labelbus("secrets", "key").output.strip())
    stored = labelbus("secrets", "put", "main", "--project", "7", stdin="ei_secret_secret\n")
    assert stored.exit_code == 0, stored.output
    assert "ledger:main" in stored.output
    assert "ei_secret" not in stored.output
    assert labelbus("secrets", "put", "main", "--project", "7", stdin="\n").exit_code == 2


def test_a_token_is_made_and_revoked(home: Path) -> None:
    """A token is shown once and can be revoked by its name."""
    assert labelbus("tokens", "create", "ci").output.startswith("lb_")
    assert labelbus("tokens", "revoke", "ci").exit_code == 0
    assert labelbus("tokens", "revoke", "ci").exit_code == 2


def test_submitting_needs_a_stored_secret(home: Path) -> None:
    """A cluster cannot see this shell's environment."""
    (home / "action.yaml").write_text(labelbus("actions", "new", "owl-vit").output)
    wrong = labelbus("submit", "action.yaml", "--project", "7", "--secret", "env:EI_PROJECT_API_KEY")
    assert (wrong.exit_code, "ledger" in wrong.output) == (2, True)


def test_the_ledger_is_upgraded(home: Path) -> None:
    """`ledger upgrade` may be repeated."""
    assert labelbus("ledger", "upgrade").exit_code == 0
    assert "has schema" in labelbus("ledger", "upgrade").output


def test_the_form_is_json(home: Path) -> None:
    """`block LABELER --parameters-json` needs no key."""
    assert json.loads(labelbus("block", "owl-vit", "--parameters-json").output)["type"] == "ai-action"


def test_a_service_without_its_broker_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`start` tries for a while, then ends with exit code 1 and one line in its log, no traceback."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("LABELBUS_KAFKA_CONNECT_TIMEOUT_S", "0.1")
    command = [sys.executable, "-c", "from labelbus_cli.main import run; run()", "start", "committer"]
    said = subprocess.run([*command, "--port", "0"], capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 1
    lines = [json.loads(line) for line in said.stderr.splitlines()]
    assert [line["event"] for line in lines if "no connection" in line["event"]] == [
        "Kafka at 127.0.0.1:1 does not answer (no connection). "
        "Check KAFKA_BOOTSTRAP_SERVERS and that the broker runs."
    ]
    assert "Traceback" not in said.stderr
    assert "trying for 0.1 s" in said.stderr
