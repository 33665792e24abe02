"""A cluster's jobs by the dispatcher's HTTP API alone."""

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from labelbus_cli.main import app
from labelbus_contracts.ids import JobId, SampleId
from labelbus_contracts.jobs import Selection
from labelbus_contracts.labels import ClassLabel, LabelSet
from labelbus_contracts.v1.commands import AddSamples, SubmitJob
from labelbus_contracts.v1.message import Message
from labelbus_dispatcher.api import create_api
from labelbus_dispatcher.testing import BASE, submit_job
from labelbus_ledger import job_rows, job_samples, sample_rows
from labelbus_ledger.engine import Ledger, LedgerSettings, upgrade
from labelbus_ledger.secrets import SecretStore, new_key
from labelbus_ledger.tables import JobState, proposals
from labelbus_simulator.server import serve_app
from pydantic import SecretStr
from typer.testing import CliRunner, Result

TOKEN = "lb_token"
JOB = JobId("abcd1234" * 4)
PROJECT = ("--project", "7", "--secret", "ledger:main")


@pytest.fixture
def settings(tmp_path: Path) -> LedgerSettings:
    """The cluster's ledger, which the command line does not see."""
    return LedgerSettings(database_url=SecretStr(f"sqlite:///{tmp_path}/ledger.db"))


@pytest.fixture
def published(
    tmp_path: Path, settings: LedgerSettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Message]]:
    """Serve the API; give what it publishes."""
    monkeypatch.setenv("LABELBUS_HOME", str(tmp_path / "no" / "ledger"))
    monkeypatch.delenv("LABELBUS_DATABASE_URL", raising=False)
    asyncio.run(upgrade(settings))
    messages: list[Message] = []

    async def publish(some: Sequence[Message]) -> None:
        messages.extend(some)

    ledger = Ledger(settings.url)
    store = SecretStore(ledger, allow_env=False, keys=new_key())
    with serve_app(create_api(ledger, publish, token=SecretStr(TOKEN), secrets=store)) as url:
        monkeypatch.setenv("LABELBUS_URL", url)
        monkeypatch.setenv("LABELBUS_TOKEN", TOKEN)
        monkeypatch.chdir(tmp_path)
        Path("action.yaml").write_text(CliRunner().invoke(app, ["actions", "new", "owl-vit"]).output)
        yield messages
    assert not (tmp_path / "no").exists(), "a command opened a ledger of its own"
    asyncio.run(ledger.close())


def labelbus(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False, input=given)


async def store(settings: LedgerSettings, state: JobState = "finished") -> None:
    """Put a preview of two samples in the cluster's ledger: one proposed, one failed."""
    ledger = await Ledger.open(settings)
    submit = submit_job(job_id=JOB, mode="preview", secret="ledger:main", selection=Selection(ids=(1, 2)))
    async with ledger.write() as conn:
        await job_rows.insert_job(ledger, conn, submit, carrier="kafka:here", state=state, now=1.0)
        head = await job_rows.job_head(conn, JOB)
        assert head is not None
        await job_samples.insert_samples(ledger, conn, head, (1, 2))
        ended = 3.0 if state == "finished" else None
        await job_rows.change_job(conn, head, total=2, selected=True, started_at=2.0, ended_at=ended)
        rows = await sample_rows.lock_rows(conn, {JOB: [SampleId(1), SampleId(2)]})
        one, two = rows.values()
        failed = replace(two, state="failed", code="gone", reason="Sample 2 is gone.")
        await sample_rows.save_rows(conn, [replace(one, state="proposed"), failed])
        draft = LabelSet(label=ClassLabel(label="cat")).model_dump_json()
        row = {"job_id": JOB, "sample_id": 1, "project_id": 7, "run": 1, "proposed_at": 2.0}
        await conn.execute(proposals.insert().values(**row, base=BASE.model_dump_json(), draft=draft))
    await ledger.close()


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


def test_many_ids_follow_their_job(published: list[Message]) -> None:
    """What one request does not carry comes in further ones about the same job."""
    Path("ids.json").write_text(json.dumps(list(range(1, 20_002))))
    result = submit("--data-ids-file", "ids.json")
    assert result.exit_code == 0, result.output
    job, *more = published
    assert isinstance(job, SubmitJob)
    assert (job.job_id, job.selection.more_follow) == (result.output.strip(), True)
    brought = [(one.job_id, len(one.ids), one.last) for one in more if isinstance(one, AddSamples)]
    assert brought == [(job.job_id, 10_000, False), (job.job_id, 1, True)]


def test_an_address_that_does_not_answer_is_named(
    published: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1: it may answer later."""
    monkeypatch.setenv("LABELBUS_URL", "http://127.0.0.1:9")
    result = submit()
    assert (result.exit_code, "127.0.0.1:9 does not answer" in result.output) == (1, True)


def test_jobs_are_shown_without_a_ledger(published: list[Message], settings: LedgerSettings) -> None:
    """List, show and watch say of a cluster's job what they say of one in the ledger."""
    assert "no job yet" in labelbus("jobs", "list").output
    asyncio.run(store(settings))
    assert "1/2" not in (listed := labelbus("jobs", "list").output)
    assert all(text in listed for text in (JOB[:12], "preview", "2/2"))
    shown = labelbus("jobs", "show", "abcd").output
    assert all(text in shown for text in (JOB, "kafka:here", "cat", "Sample … is gone", "1 proposed"))
    assert json.loads(labelbus("jobs", "show", "last", "--json").output)["samples"] == {
        "proposed": 1,
        "failed": 1,
    }
    watched = labelbus("jobs", "watch", JOB)
    assert (watched.exit_code, "1 proposed, 1 failed" in watched.output) == (0, True)
    assert labelbus("jobs", "show", "x").exit_code == 2


def test_commands_go_to_the_cluster(published: list[Message], settings: LedgerSettings) -> None:
    """They name the job by how its id begins, and say what they did."""
    asyncio.run(store(settings, "running"))
    said = [labelbus("jobs", *one, "abcd").output for one in (["pause"], ["resume"], ["cancel"])]
    assert [one.kind for one in published] == ["pause_job", "resume_job", "cancel_job"]
    assert all(JOB in one for one in said)


def test_a_preview_is_applied_with_another_key(published: list[Message], settings: LedgerSettings) -> None:
    """A block's key is gone with it; the proposals are counted before anybody is asked."""
    asyncio.run(store(settings))
    result = labelbus("jobs", "apply", "abcd", "--yes", "--secret", "ledger:other")
    assert (result.exit_code, "1 samples have proposals" in result.output) == (0, True)
    [job] = published
    assert isinstance(job, SubmitJob)
    assert (job.source_job_id, job.secret, job.mode) == (JOB, "ledger:other", "apply")


def test_a_report_is_written_without_a_ledger(published: list[Message], settings: LedgerSettings) -> None:
    """A picture that cannot be had is left out with the reason."""
    asyncio.run(store(settings))
    result = labelbus("jobs", "report", "last", "-o", "report.html")
    assert result.exit_code == 0, result.output
    page = Path("report.html").read_text()
    assert all(text in page for text in ("cat", "Sample … is gone", "could not be fetched"))


def test_samples_are_exported_without_a_ledger(published: list[Message], settings: LedgerSettings) -> None:
    """One line of JSON per sample, as from the ledger."""
    asyncio.run(store(settings))
    [line] = labelbus("jobs", "export", "last").output.splitlines()
    document = json.loads(line)
    assert (document["sample_id"], document["after"]["label"]["label"]) == (1, "cat")
    assert labelbus("jobs", "export", "x").exit_code == 2


def test_a_key_is_stored_on_the_cluster(published: list[Message]) -> None:
    """It goes in the body of a request and is not repeated."""
    result = labelbus("secrets", "put", "main", "--project", "7", given="ei_secret\n")
    assert (result.exit_code, "ledger:main" in result.output, "ei_secret" in result.output) == (
        0,
        True,
        False,
    )


def test_another_server_is_told_from_a_dispatcher(
    published: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of something else says what was missed there."""
    monkeypatch.setenv("LABELBUS_URL", f"{os.environ['LABELBUS_URL']}/elsewhere")
    result = labelbus("jobs", "list")
    assert (result.exit_code, "no dispatcher of Labelbus" in result.output) == (2, True)
    monkeypatch.setenv("LABELBUS_URL", "dispatcher:8000")
    assert "Give the dispatcher's address" in labelbus("jobs", "list").output
