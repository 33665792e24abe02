"""What the HTTP API has for blocks outside and for commands without a ledger."""

from collections.abc import AsyncIterator

import httpx
import pytest
from labelbus_contracts.ids import ProjectId, SecretName
from labelbus_contracts.jobs import ActionSpec, StepSpec
from labelbus_contracts.v1 import commands
from labelbus_dispatcher.api import create_api
from labelbus_dispatcher.testing import submit_job
from labelbus_ledger import actions, instances, job_rows, job_samples
from labelbus_ledger.access import StudioAccess
from labelbus_ledger.engine import Ledger
from labelbus_ledger.secrets import SecretStore, new_key
from labelbus_runtime.testing import CollectingCarrier
from labelbus_simulator import Studio, serve
from labelbus_studio.client import StudioClients
from labelbus_studio.settings import StudioSettings
from pydantic import SecretStr

A, B = "a" * 32, "b" * 32
HEADERS = {"Authorization": "Bearer let-me-in"}
KEPT = {
    "project_id": 7,
    "secret": f"ledger:keeper-{A}-key",
    "action": {"name": "boxes", "steps": [{"labeler": "one"}]},
    "selection": {"ids": [1, 2]},
    "mark": "same",
}


@pytest.fixture
def carrier() -> CollectingCarrier:
    """Collects what the API publishes."""
    return CollectingCarrier()


@pytest.fixture
def store(ledger: Ledger) -> SecretStore:
    """A store that can seal."""
    return SecretStore(ledger, allow_env=False, keys=new_key())


def client_of(
    ledger: Ledger,
    carrier: CollectingCarrier,
    *,
    secrets: SecretStore | None = None,
    access: StudioAccess | None = None,
) -> httpx.AsyncClient:
    """A client that is let in."""
    app = create_api(
        ledger,
        carrier.publish,
        token=SecretStr("let-me-in"),
        carrier_id="kafka",
        keeper_s=20,
        secrets=secrets,
        access=access,
    )
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url="http://labelbus.test", headers=HEADERS)


@pytest.fixture
async def api(
    ledger: Ledger, carrier: CollectingCarrier, store: SecretStore
) -> AsyncIterator[httpx.AsyncClient]:
    """An API that can seal secrets."""
    async with client_of(ledger, carrier, secrets=store) as client:
        yield client


async def stored(ledger: Ledger, *, samples: tuple[int, ...] = (), **changes: object) -> None:
    """Put a running job in the ledger."""
    async with ledger.write() as conn:
        submit = submit_job(**changes)
        await job_rows.insert_job(ledger, conn, submit, carrier="kafka", state="running", now=1.0)
        head = await job_rows.job_head(conn, submit.job_id)
        assert head is not None
        await job_samples.insert_samples(ledger, conn, head, samples)


async def test_a_secret_is_sealed_and_never_shown(api: httpx.AsyncClient, store: SecretStore) -> None:
    """It is found by name for its project, and is in no answer; a second one replaces it."""
    for key in ("ei_first", "ei_second"):
        answer = await api.put("/v1/projects/7/secrets/main", json={"secret": key})
        assert (answer.status_code, answer.json()) == (200, {"name": "ledger:main"})
    found = await store.resolve(SecretName("ledger:main"), ProjectId(7))
    assert found.get_secret_value() == "ei_second"
    refused = await api.put("/v1/projects/7/secrets/main", json={"secret": ["ei_third"]})
    assert (refused.status_code, "ei_third" in refused.text) == (422, False)
    assert (await api.delete("/v1/projects/7/secrets/main")).status_code == 204


async def test_a_cluster_without_a_key_says_so(ledger: Ledger, carrier: CollectingCarrier) -> None:
    """Nothing can be sealed without LABELBUS_SECRET_KEYS."""
    async with client_of(ledger, carrier) as api:
        answer = await api.put("/v1/projects/7/secrets/main", json={"secret": "ei_1"})
        assert (answer.status_code, "LABELBUS_SECRET_KEYS" in answer.json()["detail"]) == (501, True)
        assert (await api.get("/v1/cluster")).json()["seals"] is False


async def test_the_cluster_tells_its_labelers(api: httpx.AsyncClient, ledger: Ledger) -> None:
    """Those that report, with what they work on at once; services are none."""
    for service, name in (("owl-vit", "a"), ("owl-vit", "b"), ("committer", "c")):
        await instances.report(ledger, "kafka", service, name, 8)
    facts = (await api.get("/v1/cluster")).json()
    assert (facts["labelers"], facts["seals"], bool(facts["version"])) == ({"owl-vit": 16}, True, True)


async def test_a_keeper_begins_once(api: httpx.AsyncClient, carrier: CollectingCarrier) -> None:
    """A repeated request names the same job, which the dispatcher takes once; an equal run has to wait."""
    one = await api.put(f"/v1/keepers/{A}", json=KEPT)
    two = await api.put(f"/v1/keepers/{A}", json=KEPT)
    assert one.json() == two.json() == {"job_id": one.json()["job_id"], "went_on": False, "silent_s": 20}
    assert {submit.job_id for submit in carrier.of(commands.SubmitJob)} == {one.json()["job_id"]}
    other = await api.put(f"/v1/keepers/{B}", json=KEPT)
    assert (other.status_code, 0 < int(other.headers["Retry-After"]) <= 20) == (409, True)


async def test_a_keeper_stays_and_leaves(api: httpx.AsyncClient, ledger: Ledger) -> None:
    """Staying is quiet; who has left is told so, and its job is paused with what to do."""
    job_id = (await api.put(f"/v1/keepers/{A}", json=KEPT)).json()["job_id"]
    await stored(ledger, job_id=job_id)
    assert (await api.post(f"/v1/jobs/{job_id}/keepers/{A}")).status_code == 204
    assert (await api.delete(f"/v1/jobs/{job_id}/keepers/{A}")).status_code == 204
    assert (await api.post(f"/v1/jobs/{job_id}/keepers/{A}")).status_code == 404
    job = (await api.get(f"/v1/jobs/{job_id}")).json()
    assert (job["state"], "Run it again" in job["reason"]) == ("paused", True)


async def test_further_ids_follow_their_job(api: httpx.AsyncClient, carrier: CollectingCarrier) -> None:
    """Also before a dispatcher has taken the job up."""
    answer = await api.post("/v1/jobs/new/samples", json={"ids": [4, 5], "last": True})
    [more] = carrier.of(commands.AddSamples)
    assert (answer.status_code, more.job_id, more.ids, more.last) == (202, "new", (4, 5), True)
    too_many = {"ids": list(range(10_001)), "last": True}
    assert (await api.post("/v1/jobs/new/samples", json=too_many)).status_code == 422


async def test_a_job_is_shown_whole(api: httpx.AsyncClient, ledger: Ledger) -> None:
    """Its command comes without ids, so that a page is small; a prefix finds it."""
    await stored(ledger)
    job = (await api.get("/v1/jobs/job")).json()
    assert (job["submit"]["action"]["name"], job["submit"]["selection"]["ids"]) == ("test", [])
    assert [one["job_id"] for one in (await api.get("/v1/jobs", params={"prefix": "jo"})).json()] == ["job"]
    assert (await api.get("/v1/jobs", params={"prefix": "x"})).json() == []
    said = (await api.get("/v1/jobs/job/ending")).json()
    assert (said["labels"], said["failures"], said["cost"]["cost_usd"]) == ([], [], 0.0)
    assert (await api.get("/v1/jobs/job/facts")).json()["shown"] == []


async def test_a_stored_action_is_read(api: httpx.AsyncClient, ledger: Ledger) -> None:
    """The newest revision, or one that is named."""
    for labeler in ("one", "two"):
        await actions.add(ledger, ActionSpec(name="shapes", steps=(StepSpec(labeler=labeler),)))
    newest = (await api.get("/v1/actions/shapes")).json()
    first = (await api.get("/v1/actions/shapes", params={"revision": 1})).json()
    assert [one["steps"][0]["labeler"] for one in (newest, first)] == ["two", "one"]
    assert (await api.get("/v1/actions/other")).status_code == 404


async def test_a_picture_is_read_with_the_jobs_key(
    ledger: Ledger, carrier: CollectingCarrier, store: SecretStore
) -> None:
    """Only of the job's own samples; a key that is gone is said."""
    studio = Studio()
    project = studio.add_project("Shapes", key="ei_1")
    [one, other] = project.add_images(2)
    with serve(studio) as endpoint:
        clients = StudioClients(StudioSettings(endpoint=endpoint))
        access = StudioAccess(clients, store)
        async with client_of(ledger, carrier, secrets=store, access=access) as api:
            await stored(ledger, samples=(one,), project_id=project.id, secret="ledger:main")
            gone = await api.get(f"/v1/jobs/job/samples/{one}/image")
            assert (gone.status_code, "has no secret" in gone.json()["detail"]) == (409, True)
            await store.put("main", ProjectId(project.id), SecretStr("ei_1"))
            picture = await api.get(f"/v1/jobs/job/samples/{one}/image")
            assert picture.content == project.samples[one].content.data()
            assert picture.headers["Content-Type"].startswith("image/")
            assert (await api.get(f"/v1/jobs/job/samples/{other}/image")).status_code == 404
        await clients.aclose()
