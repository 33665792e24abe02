"""The proxying Studio as a block meets it: what it reads, what it may write, what it never gets."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from labelbus_contracts.ids import ProjectId
from labelbus_contracts.labels import BoundingBox, ClassLabel
from labelbus_customblock.overlay import Overlay
from labelbus_customblock.parameters import CustomBlockParameters
from labelbus_customblock.proxy import ProxyingStudio, Visit
from labelbus_labeling.testing import GivenMedia, picture
from labelbus_runtime.errors import Unavailable
from labelbus_simulator.models.eyes import answer_with_boxes
from labelbus_studio.client import StudioClient
from pydantic import SecretStr

if TYPE_CHECKING:
    from .conftest import Bench

KEY = "ei_" + "4" * 32
SOURCE_KEY = "ei_" + "7" * 32
PARAMETERS = CustomBlockParameters.model_validate({"command": "block"})


@pytest.fixture
def overlay(bench: "Bench") -> Overlay:
    """Lay drafts over the samples 1 and 2; the first has a box of an earlier step."""
    box = BoundingBox(label="draft", x=1, y=1, width=5, height=5, score=0.9)
    tasks = [
        bench.task(PARAMETERS, 1, boxes=(box,), metadata={"from": "draft"}, label=ClassLabel(label="cat")),
        bench.task(PARAMETERS, 2),
    ]
    return Overlay.over(tasks)


@pytest.fixture
async def http(bench: "Bench", overlay: Overlay) -> AsyncIterator[httpx.AsyncClient]:
    """Visit the proxying Studio as a block does."""
    studio = ProxyingStudio()
    token = studio.admit(Visit(ProjectId(bench.project.id), bench.client, overlay))
    transport = httpx.ASGITransport(studio)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1/v1", headers={"x-api-key": token}
    ) as client:
        yield client


async def read(http: httpx.AsyncClient, path: str, **query: Any) -> dict[str, Any]:
    """Return an answer that must be well."""
    answer = await http.get(path, params=query)
    body: dict[str, Any] = answer.json()
    assert answer.status_code == 200, body
    assert body["success"], body
    return body


async def test_samples_are_shown_as_their_drafts(http: httpx.AsyncClient) -> None:
    """One by one and in pages; samples of others are shown as Studio has them."""
    one = (await read(http, "/api/1/raw-data/1", proposedActionsJobId=1))["sample"]
    page = (await read(http, "/api/1/raw-data", category="training", limit=1000, labels=""))["samples"]
    other = next(row for row in page if row["id"] == 5)
    assert one == next(row for row in page if row["id"] == 1)
    assert one["boundingBoxes"] == [{"label": "draft", "x": 1, "y": 1, "width": 5, "height": 5}]
    assert (one["label"], one["metadata"]) == ("cat", {"from": "draft"})
    assert other["label"] == ""


async def test_lists_may_be_narrowed(bench: "Bench", overlay: Overlay) -> None:
    """Then they show the run's samples only, in Studio's order, each read once; a missing one is left out."""
    del bench.project.samples[2]
    studio = ProxyingStudio()
    visit = Visit(ProjectId(bench.project.id), bench.client, overlay, narrow_lists=True)
    headers = {"x-api-key": studio.admit(visit)}
    transport = httpx.ASGITransport(studio)
    async with httpx.AsyncClient(transport=transport, base_url="http://x/v1", headers=headers) as http:
        page = await read(http, "/api/1/raw-data", category="training", limit=1000, offset=0)
        behind = await read(http, "/api/1/raw-data", category="training", limit=1000, offset=1000)
        assert [row["id"] for row in page["samples"]] == [1]
        assert page["samples"][0]["label"] == "cat"
        assert behind["samples"] == []
        assert (await read(http, "/api/1/raw-data/count", category="testing"))["count"] == 0
    assert bench.studio.calls.by_route["list-samples"] == 0
    assert bench.studio.calls.by_route["get-sample"] == 2


async def test_no_key_of_the_project_is_handed_out(http: httpx.AsyncClient, bench: "Bench") -> None:
    """Neither in answers nor by the routes that list keys."""
    projects = await http.get("/api/projects")
    info = await read(http, "/api/1")
    assert projects.json()["projects"][0]["id"] == 1
    assert info["developmentKeys"] == {}
    assert KEY not in projects.text + json.dumps(info)
    for path in (
        "/api/1/devkeys",
        "/api/1/apikeys",
        "/api/1/socket-token",
        "/api/1/ai-actions/1/clear-proposed-changes",
        "/api/1/DevKeys",
        "/api/1/%2e",
        "/api/1/%2e/",
        "/api/1/raw-data/%2e",
    ):
        assert (await http.get(path)).status_code == 403, path
    assert bench.studio.calls.by_route["clear-proposed-changes"] == 0


async def test_who_has_another_key_comes_not_in(http: httpx.AsyncClient) -> None:
    """The project's own key too is unknown here."""
    answer = await http.get("/api/projects", headers={"x-api-key": KEY})
    assert (answer.status_code, answer.json()["success"]) == (401, False)


@pytest.mark.parametrize("path", ["/api/2/raw-data/1", "/api/organizations", "/api/1/%2e%2e/2", "/"])
async def test_other_projects_are_not_seen(http: httpx.AsyncClient, path: str) -> None:
    """A block sees its own project only."""
    assert (await http.get(path)).status_code == 403


async def test_bytes_come_from_where_other_steps_have_them(http: httpx.AsyncClient, bench: "Bench") -> None:
    """The image of the run's samples is fetched once for all steps; those of others come from Studio."""
    mine = await http.get("/api/1/raw-data/1/image")
    theirs = await http.get("/api/1/raw-data/5/image")
    assert mine.content.startswith(b"\x89PNG")
    assert mine.headers["content-type"] == "image/png"
    assert theirs.content == bench.project.samples[5].content.data()
    assert bench.studio.calls.by_route["get-image"] == 1


async def test_another_project_that_shuts_us_out_is_no_fault_of_the_samples(
    bench: "Bench", overlay: Overlay
) -> None:
    """A block that fails for it is not broken: the job pauses, and no sample fails."""
    source = bench.studio.add_project("Source", key=SOURCE_KEY)
    elsewhere = StudioClient(SecretStr(SOURCE_KEY), settings=bench.client.settings)
    studio = ProxyingStudio()
    visit = Visit(ProjectId(bench.project.id), bench.client, overlay, elsewhere={SOURCE_KEY: elsewhere})
    studio.admit(visit)
    bench.studio.revoke(SOURCE_KEY)
    transport = httpx.ASGITransport(studio)
    headers = {"x-api-key": SOURCE_KEY}
    async with (
        elsewhere,
        httpx.AsyncClient(transport=transport, base_url="http://x/v1", headers=headers) as http,
    ):
        answer = await http.get(f"/api/{source.id}")
    assert answer.json()["success"] is False
    assert overlay.fault is not None and overlay.fault.scope == "job"


@pytest.mark.parametrize("error", [Unavailable("The ledger is away."), KeyError("a bug")])
async def test_what_labelbus_cannot_answer_is_no_fault_of_the_samples(
    http: httpx.AsyncClient, overlay: Overlay, error: Exception
) -> None:
    """A block that goes on without a picture has not looked at it: its sample comes again."""
    task = overlay.samples[1].task
    overlay.samples[1].task = replace(task, media=GivenMedia(b"", error=error))  # type: ignore[arg-type]
    answer = await http.get("/api/1/raw-data/1/image")
    assert (answer.status_code, answer.json()["success"]) == (503, False)
    assert overlay.fault is not None and overlay.fault.scope == "sample"


async def test_refusals_of_studio_come_through(http: httpx.AsyncClient) -> None:
    """A sample that is not there is said in Studio's shape."""
    answer = await http.get("/api/1/raw-data/999")
    assert answer.json()["success"] is False
    assert "999" in answer.json()["error"]


@pytest.mark.parametrize(
    ("edit", "body", "wanted"),
    [
        ("edit-labels", {"label": "dog"}, {"label": "dog"}),
        (
            "add-metadata",
            {"metadataKey": "k", "metadataValue": "v"},
            {"metadata": {"from": "draft", "k": "v"}},
        ),
        ("clear-metadata", {}, {"metadata": {}}),
        ("clear-metadata-by-key", {"metadataKey": "from"}, {"metadata": {}}),
        ("disable-samples", {}, {"isDisabled": True}),
        ("edit-bounding-boxes", {"oldLabels": ["draft"], "newLabel": ""}, {"boundingBoxes": []}),
    ],
)
async def test_batch_edits_change_drafts(
    http: httpx.AsyncClient, bench: "Bench", edit: str, body: dict[str, Any], wanted: dict[str, Any]
) -> None:
    """An edit of samples by ids is caught like those of one sample."""
    query = {"category": "all", "ids": "[1,2]"}
    answer = await http.post(f"/api/1/raw-data/batch/{edit}", params=query, json=body)
    assert answer.json() == {"success": True}
    shown = (await read(http, "/api/1/raw-data/1"))["sample"]
    assert shown == shown | wanted
    assert not bench.studio.calls.writes


async def test_metadata_adds_and_proposals_replace(http: httpx.AsyncClient, overlay: Overlay) -> None:
    """As Studio's two routes say."""
    await http.post("/api/1/raw-data/1/metadata", json={"metadata": {"n": 3}})
    assert overlay.samples[1].draft.metadata == {"from": "draft", "n": "3"}
    changes = {"jobId": 1, "proposedChanges": {"metadata": {"only": "this"}}}
    await http.post("/api/1/raw-data/1/propose-changes", json=changes)
    assert overlay.samples[1].draft.metadata == {"only": "this"}


async def test_a_mended_write_is_no_failure(http: httpx.AsyncClient, overlay: Overlay) -> None:
    """A block that is refused and tries again better has done well."""
    bad = await http.post("/api/1/raw-data/1/bounding-boxes", json={"boundingBoxes": [{"label": "x"}]})
    assert (bad.status_code, bool(overlay.samples[1].refusals)) == (400, True)
    await http.post("/api/1/raw-data/1/bounding-boxes", json={"boundingBoxes": []})
    assert overlay.samples[1].refusals == {}
    assert overlay.samples[1].draft.boxes == ()


async def test_impulses_may_be_asked(bench: "Bench", overlay: Overlay) -> None:
    """Of the own project, and of another one whose key the block was given; nothing is written there."""
    bench.project.classify = answer_with_boxes
    source = bench.studio.add_project("Source", key=SOURCE_KEY)
    source.classify = answer_with_boxes
    elsewhere = StudioClient(SecretStr(SOURCE_KEY), settings=bench.client.settings)
    studio = ProxyingStudio()
    visit = Visit(ProjectId(bench.project.id), bench.client, overlay, elsewhere={SOURCE_KEY: elsewhere})
    image = {"image": ("a.png", picture(1), "image/png")}
    transport = httpx.ASGITransport(studio)
    async with elsewhere, httpx.AsyncClient(transport=transport, base_url="http://x/v1") as http:
        for key, number in ((studio.admit(visit), bench.project.id), (SOURCE_KEY, source.id)):
            headers = {"x-api-key": key}
            said = await http.post(f"/api/{number}/classify/image", files=image, headers=headers)
            assert "boundingBoxes" in said.json(), said.text
        projects = (await http.get("/api/projects", headers=headers)).json()["projects"]
        assert [one["id"] for one in projects] == [source.id]
        assert (await http.get(f"/api/{source.id}", headers=headers)).json()["developmentKeys"] == {}
        for method, path in (("POST", "/raw-data/1/disable"), ("GET", "/devkeys")):
            answer = await http.request(method, f"/api/{source.id}{path}", headers=headers)
            assert answer.status_code == 403
    assert not bench.studio.calls.writes
    assert overlay.overreach == []


@pytest.mark.parametrize("path", ["raw-data/1/bounding-boxes", "classify/image"])
async def test_what_is_huge_is_not_taken_in_whole(
    http: httpx.AsyncClient, overlay: Overlay, path: str
) -> None:
    """Nor where its length is not said: what a block sends is held in memory."""
    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield bytes(1 << 20)

    answer = await http.post(f"/api/1/{path}", content=pieces())
    assert (answer.status_code, sent) == (403, 65)
    assert "more than 64 MiB" in answer.json()["error"]
    assert bool(overlay.overreach) == (path != "classify/image")
