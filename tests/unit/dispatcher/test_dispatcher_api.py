"""The HTTP API over ASGI, with a carrier that only collects."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from labelbus_contracts.v1 import commands
from labelbus_dispatcher.api import create_api
from labelbus_dispatcher.testing import submit_job
from labelbus_ledger import job_rows
from labelbus_ledger.engine import Ledger
from labelbus_ledger.tokens import Tokens
from labelbus_runtime.errors import Unavailable
from labelbus_runtime.testing import CollectingCarrier
from pydantic import SecretStr

NEW = {
    "project_id": 7,
    "secret": "ledger:key",
    "action": {"name": "boxes", "steps": [{"labeler": "one"}]},
}


@pytest.fixture
def carrier() -> CollectingCarrier:
    """Collects what the API publishes."""
    return CollectingCarrier()


@pytest.fixture
async def api(ledger: Ledger, carrier: CollectingCarrier) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is let in."""
    app = create_api(ledger, carrier.publish, token=SecretStr("let-me-in"))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://labelbus.test",
        headers={"Authorization": "Bearer let-me-in"},
    ) as client:
        yield client


async def store(ledger: Ledger, state: str = "running", **changes: object) -> None:
    """Put a job in the ledger, as if a dispatcher had taken it."""
    async with ledger.write() as conn:
        submit = submit_job(**changes)
        await job_rows.insert_job(ledger, conn, submit, carrier="test", state=state, now=1.0)  # type: ignore[arg-type]


async def test_a_submitted_job_is_published(api: httpx.AsyncClient, carrier: CollectingCarrier) -> None:
    """The answer names the job, the command carries it."""
    answer = await api.post("/v1/jobs", json=NEW)
    assert answer.status_code == 202
    (submit,) = carrier.of(commands.SubmitJob)
    assert answer.json() == {"job_id": submit.job_id}
    assert answer.headers["Location"] == f"/v1/jobs/{submit.job_id}"


async def test_an_idempotency_key_names_one_job(api: httpx.AsyncClient, carrier: CollectingCarrier) -> None:
    """A repeated request has the same job id, so that the dispatcher takes it once."""
    headers = {"Idempotency-Key": "today"}
    one = await api.post("/v1/jobs", json=NEW, headers=headers)
    two = await api.post("/v1/jobs", json=NEW, headers=headers)
    assert one.json() == two.json()
    assert (await api.post("/v1/jobs", json=NEW)).json() != one.json()


async def test_a_key_that_made_another_job_is_a_conflict(
    api: httpx.AsyncClient, ledger: Ledger, carrier: CollectingCarrier
) -> None:
    """The same key with another body starts nothing."""
    headers = {"Idempotency-Key": "today"}
    job_id = (await api.post("/v1/jobs", json=NEW, headers=headers)).json()["job_id"]
    await store(ledger, job_id=job_id)
    answer = await api.post("/v1/jobs", json=NEW, headers=headers)
    assert answer.status_code == 409
    assert len(carrier.published) == 1


@pytest.mark.parametrize("token", [None, "wrong", ""])
async def test_nobody_is_let_in_without_a_token(api: httpx.AsyncClient, token: str | None) -> None:
    """Every route wants a token; the problem says where to get one."""
    headers = {"Authorization": f"Bearer {token}" if token is not None else ""}
    for method, path in (("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("POST", "/v1/jobs/x/cancel")):
        answer = await api.request(method, path, headers=headers, json=NEW)
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert "labelbus tokens create" in answer.json()["detail"]


async def test_a_token_of_the_ledger_is_let_in(api: httpx.AsyncClient, ledger: Ledger) -> None:
    """Tokens are made by the command line and kept as digests."""
    token = await Tokens(ledger).create("ci")
    answer = await api.get("/v1/jobs", headers={"Authorization": f"Bearer {token.get_secret_value()}"})
    assert answer.status_code == 200


async def test_jobs_are_listed_and_shown(api: httpx.AsyncClient, ledger: Ledger) -> None:
    """A job is shown with its samples by state."""
    await store(ledger)
    assert [one["job_id"] for one in (await api.get("/v1/jobs")).json()] == ["job"]
    shown = (await api.get("/v1/jobs/job")).json()
    assert (shown["state"], shown["counts"], shown["failures"]) == ("running", {}, [])


@pytest.mark.parametrize("command", ["cancel", "pause", "resume"])
async def test_commands_reach_the_dispatcher(
    api: httpx.AsyncClient, ledger: Ledger, carrier: CollectingCarrier, command: str
) -> None:
    """Each is one message about the job; a job that is unknown gets none."""
    assert (await api.post(f"/v1/jobs/job/{command}")).status_code == 404
    await store(ledger)
    assert (await api.post(f"/v1/jobs/job/{command}")).status_code == 202
    assert [one.kind for one in carrier.published] == [f"{command}_job"]


async def test_applying_a_preview_is_a_job_of_its_own(
    api: httpx.AsyncClient, ledger: Ledger, carrier: CollectingCarrier
) -> None:
    """It names the preview as its source and takes its whole selection."""
    await store(ledger, mode="preview")
    assert (await api.post("/v1/jobs/job/apply")).status_code == 202
    (submit,) = carrier.of(commands.SubmitJob)
    assert (submit.mode, submit.source_job_id, submit.selection.ids) == ("apply", "job", None)
    assert submit.on_conflict == "hold"
    await api.post("/v1/jobs/job/apply", json={"on_conflict": "overwrite"})
    assert carrier.of(commands.SubmitJob)[-1].on_conflict == "overwrite"


async def test_progress_is_streamed_until_the_end(api: httpx.AsyncClient, ledger: Ledger) -> None:
    """The stream ends with the job."""
    await store(ledger, "finished")
    answer = await api.get("/v1/jobs/job/events")
    names = [line for line in answer.text.splitlines() if line.startswith("event")]
    assert names == ["event: progress", "event: end"]
    assert json.loads(answer.text.splitlines()[1].removeprefix("data: "))["state"] == "finished"


async def test_a_wrong_body_is_a_problem(api: httpx.AsyncClient) -> None:
    """It names the field."""
    answer = await api.post("/v1/jobs", json=NEW | {"mode": "maybe"})
    assert answer.status_code == 422
    assert "body.mode" in answer.json()["detail"]


async def test_a_broker_that_is_away_is_said_so(api: httpx.AsyncClient, carrier: CollectingCarrier) -> None:
    """The caller may come back later."""
    carrier.fails = Unavailable("Kafka is away.")
    answer = await api.post("/v1/jobs", json=NEW)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


async def test_openapi_is_served(api: httpx.AsyncClient) -> None:
    """The document needs no token and shows every route."""
    document = (await api.get("/v1/openapi.json", headers={"Authorization": ""})).json()
    assert "/v1/jobs/{job_id}/events" in document["paths"]
