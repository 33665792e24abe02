"""Submitting to a cluster by the dispatcher's HTTP API."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from labelbus_cli.main import app
from labelbus_contracts.v1.commands import SubmitJob
from labelbus_contracts.v1.message import Message
from labelbus_dispatcher.api import create_api
from labelbus_ledger.engine import Ledger, LedgerSettings, upgrade
from labelbus_simulator.server import serve_app
from pydantic import SecretStr
from typer.testing import CliRunner, Result

TOKEN = "lb_token"
PROJECT = ("--project", "7", "--secret", "ledger:main")


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Message]]:
    """Serve the API; give what it publishes."""
    settings = LedgerSettings(database_url=SecretStr(f"sqlite:///{tmp_path}/ledger.db"))
    asyncio.run(upgrade(settings))
    messages: list[Message] = []

    async def publish(some: Sequence[Message]) -> None:
        messages.extend(some)

    ledger = Ledger(settings.url)
    with serve_app(create_api(ledger, publish, token=SecretStr(TOKEN))) as url:
        monkeypatch.setenv("LABELBUS_URL", url)
        monkeypatch.setenv("LABELBUS_TOKEN", TOKEN)
        monkeypatch.chdir(tmp_path)
        Path("action.yaml").write_text(CliRunner().invoke(app, ["actions", "new", "owl-vit"]).output)
        yield messages
    asyncio.run(ledger.close())


def submit(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["submit", "action.yaml", *PROJECT, *arguments], catch_exceptions=False)


def test_a_job_is_submitted_once(published: list[Message]) -> None:
    """The job arrives with its action and ids, under the id that is printed, and names the secret only."""
    Path("ids.json").write_text("[3, 1]")
    result = submit("--data-ids-file", "ids.json", "--apply", "--weight", "5")
    assert result.exit_code == 0, result.output
    [job] = published
    assert isinstance(job, SubmitJob)
    assert (job.job_id, job.mode, job.weight) == (result.output.strip(), "apply", 5)
    assert (job.selection.ids, job.secret) == ((3, 1), "ledger:main")


def test_a_wrong_token_is_named_not_shown(published: list[Message], monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, and the variable's name; without a token nothing is sent."""
    monkeypatch.setenv("LABELBUS_TOKEN", "lb_wrong")
    wrong = submit()
    assert (wrong.exit_code, "LABELBUS_TOKEN" in wrong.output, "lb_wrong" in wrong.output) == (2, True, False)
    monkeypatch.delenv("LABELBUS_TOKEN")
    assert submit().exit_code == 2
    assert published == []


def test_too_many_ids_for_the_api_are_refused(published: list[Message]) -> None:
    """More than 10,000 ids go by Kafka only."""
    Path("ids.json").write_text(json.dumps(list(range(1, 10_002))))
    result = submit("--data-ids-file", "ids.json")
    assert (result.exit_code, "10,000" in result.output) == (2, True)


def test_an_address_that_does_not_answer_is_named(
    published: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1: it may answer later."""
    monkeypatch.setenv("LABELBUS_URL", "http://127.0.0.1:9")
    result = submit()
    assert (result.exit_code, "127.0.0.1:9 does not answer" in result.output) == (1, True)
