"""Reading samples: the fewest calls, and pages that arrivals cannot disturb."""

import json
from collections.abc import Iterable, Mapping

import httpx
import pytest
from labelbus_studio import (
    KeyRefused,
    MetadataFilter,
    SampleNotFound,
    SampleQuery,
    StudioClient,
    StudioClients,
    StudioConfused,
    StudioSettings,
    StudioUnavailable,
)
from labelbus_studio.testing import ScriptedStudio
from pydantic import SecretStr


class Project:
    """Samples by id, answered like Studio does: highest first, `maxId` exclusive, pages bounded."""

    def __init__(self, ids: Iterable[int], longest_page: int = 1000) -> None:
        self.ids = set(ids)
        self.longest_page = longest_page
        self.odd: Mapping[int, object] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a list, a count or one sample."""
        last = request.url.path.rpartition("/")[2]
        if last.isdigit():
            return self._one(int(last))
        query = request.url.params
        low, high = int(query.get("minId", 0)), int(query.get("maxId", 10**12))
        ids = sorted((i for i in self.ids if low <= i < high), reverse=True)
        if last == "count":
            return httpx.Response(200, json={"success": True, "count": len(ids)})
        page = ids[: min(int(query["limit"]), self.longest_page)]
        rows = [{"id": i, "boundingBoxes": self.odd.get(i)} for i in page]
        return httpx.Response(200, json={"success": True, "samples": rows, "totalCount": len(ids)})

    def _one(self, sample_id: int) -> httpx.Response:
        if sample_id not in self.ids:
            return httpx.Response(200, json={"success": False, "error": "No such sample"})
        row = {"id": sample_id, "boundingBoxes": self.odd.get(sample_id)}
        return httpx.Response(200, json={"success": True, "sample": row})


async def test_dense_ids_take_one_call(client: StudioClient, studio: ScriptedStudio) -> None:
    """A hundred neighbours are read by one page."""
    studio.answer = Project(range(1, 5000))
    found = await client.read_samples(1, range(1000, 1100))
    assert sorted(found) == list(range(1000, 1100))
    assert client.calls == {"samples": 1}


async def test_sparse_ids_are_read_one_by_one(client: StudioClient, studio: ScriptedStudio) -> None:
    """Ids far apart cost one call each and one page that showed them to be so."""
    studio.answer = Project(range(1, 50_000))
    found = await client.read_samples(1, range(100, 40_000, 1000))
    assert len(found) == 40
    assert client.calls["sample"] >= 38
    assert client.calls["samples"] == 1


async def test_dense_only_answers_what_pages_answer(client: StudioClient, studio: ScriptedStudio) -> None:
    """With `dense_only` no sample is read alone."""
    studio.answer = Project(range(1, 50_000))
    assert len(await client.read_samples(1, range(100, 40_000, 1000), dense_only=True)) <= 1
    assert await client.read_samples(1, [7], dense_only=True) == {}
    assert client.calls == {"samples": 1}


async def test_pages_skip_the_gaps_between_ids(client: StudioClient, studio: ScriptedStudio) -> None:
    """Three dense runs with a hundred thousand samples between them take a few calls."""
    studio.answer = Project(range(1, 300_000))
    wanted = [start + i for start in (10, 100_000, 250_000) for i in range(100)]
    found = await client.read_samples(1, wanted)
    assert sorted(found) == wanted
    assert client.calls["samples"] <= 6
    assert client.calls["sample"] == 0


async def test_ids_that_are_gone_are_absent(client: StudioClient, studio: ScriptedStudio) -> None:
    """An id that no page has is asked for alone, and is absent if it is gone."""
    studio.answer = Project(i for i in range(1, 200) if i != 50)
    found = await client.read_samples(1, range(40, 60))
    assert sorted(found) == [i for i in range(40, 60) if i != 50]
    assert client.calls == {"samples": 1, "sample": 1}


async def test_thousands_of_ids_are_read_in_parts(client: StudioClient, studio: ScriptedStudio) -> None:
    """Five thousand neighbours take five calls."""
    studio.answer = Project(range(1, 6000))
    assert len(await client.read_samples(1, range(1, 5001))) == 5000
    assert client.calls == {"samples": 5}


async def test_an_unreadable_sample_is_not_taken_for_gone(
    client: StudioClient, studio: ScriptedStudio
) -> None:
    """A sample whose boxes cannot be read is confusing when asked for, and left out of pages."""
    project = Project(range(1, 10))
    project.odd = {5: [{"x": "wide"}]}
    studio.answer = project
    assert sorted(await client.read_samples(1, range(1, 10), dense_only=True)) == [1, 2, 3, 4, 6, 7, 8, 9]
    with pytest.raises(StudioConfused, match="box x"):
        await client.read_samples(1, range(1, 10))


async def test_a_text_cut_within_a_letter_hides_nothing(client: StudioClient, studio: ScriptedStudio) -> None:
    """Half of an emoji at the end of a name, as JavaScript cuts texts, is shown as unknown."""
    rows = rb'[{"id": 2, "filename": "cat\ud83d"}, {"id": 1, "label": "\ud83d\ude3a"}]'
    studio.answer = lambda request: httpx.Response(200, content=b'{"success": true, "samples": %b}' % rows)
    cut, whole = await anext(client.pages(1, SampleQuery()))
    assert cut.facts.filename == "cat\ufffd"
    assert whole.labels.label is not None and whole.labels.label.label == "\U0001f63a"


@pytest.mark.parametrize("longest_page", [3, 10, 1000])
async def test_arrivals_do_not_disturb_pages(
    client: StudioClient, studio: ScriptedStudio, longest_page: int
) -> None:
    """Samples that arrive while paging shift nothing, and shorter pages than asked for do not end it."""
    project = Project(range(1, 31), longest_page)
    studio.answer = project
    seen: list[int] = []
    async for page in client.pages(1, SampleQuery(), page_size=10):
        seen += [sample.id for sample in page]
        project.ids |= {max(project.ids) + 1, max(project.ids) + 2}
    assert seen == list(range(30, 0, -1))


@pytest.mark.parametrize(
    "fault", [httpx.ReadTimeout("slow"), httpx.Response(502), httpx.Response(200, html="")]
)
async def test_pages_that_are_too_large_for_studio_get_smaller(
    studio: ScriptedStudio, fault: httpx.Response | httpx.ReadTimeout
) -> None:
    """Where no large page comes, all samples are read by small ones, and no large one is asked for again."""
    project = Project(range(1, 251))

    def answer(request: httpx.Request) -> httpx.Response:
        if int(request.url.params["limit"]) <= 100:
            return project(request)
        if isinstance(fault, Exception):
            raise fault
        return fault

    studio.answer = answer
    async with studio.client(retry_within_s=0) as client:
        pages = [page async for page in client.pages(1, SampleQuery())]
    assert [sample.id for page in pages for sample in page] == list(range(250, 0, -1))
    assert client.calls == {"samples": 4}


async def test_a_project_without_permission_is_asked_once(studio: ScriptedStudio) -> None:
    """What no smaller page would change is raised at once: a refusal, and a wait that Studio asks for."""
    for fault, kind in (
        (httpx.Response(403), KeyRefused),
        (httpx.Response(429, headers={"retry-after": "60"}), StudioUnavailable),
    ):
        studio.requests.clear()
        studio.queue(fault)
        async with studio.client() as client:
            with pytest.raises(kind):
                await anext(client.pages(1, SampleQuery()))
        assert len(studio.requests) == 1


async def test_an_empty_project_has_no_pages(client: StudioClient, studio: ScriptedStudio) -> None:
    """No sample, no page, one call."""
    studio.answer = Project([])
    assert [page async for page in client.pages(1, SampleQuery())] == []
    assert client.calls == {"samples": 1}


async def test_a_studio_that_ignores_max_id_does_not_loop(
    client: StudioClient, studio: ScriptedStudio
) -> None:
    """The same page twice is confusing, not endless."""
    rows = [{"id": i} for i in range(10)]
    studio.answer = lambda request: httpx.Response(
        200, json={"success": True, "samples": rows, "totalCount": 99}
    )
    with pytest.raises(StudioConfused, match="maxId"):
        _ = [page async for page in client.pages(1, SampleQuery(), page_size=10)]


async def test_a_query_says_only_what_is_asked(client: StudioClient, studio: ScriptedStudio) -> None:
    """Filters that are not asked for are not sent; the rest is in Studio's names and JSON lists."""
    studio.answer = Project(range(9))
    await client.count(1, SampleQuery())
    full = SampleQuery(
        category="training",
        labels=("a", "b,c"),
        name="img",
        metadata=(MetadataFilter("done", "neq"),),
        data_type="image",
        min_id=3,
        max_id=7,
    )
    assert await client.count(1, full) == 4
    assert dict(studio.requests[0].url.params) == {"category": "all", "includeDisabled": "both"}
    sent = studio.requests[1].url.params
    assert json.loads(sent["labels"]) == ["a", "b,c"]
    assert json.loads(sent["metadata"]) == [
        {"key": "done", "op": "neq"},
        {"filters_combinator": "and"},
    ]
    assert (sent["filename"], sent["dataType"], sent["minId"], sent["maxId"]) == ("img", "image", "3", "7")


async def test_one_read_carries_no_payload_and_is_counted_by_purpose(
    client: StudioClient, studio: ScriptedStudio
) -> None:
    """A read asks for the smallest payload, sees earlier steps' proposals, and is counted apart."""
    studio.answer = Project([5])
    await client.read_sample(1, 5, proposed_actions_job_id=77, purpose="conflict")
    assert dict(studio.requests[0].url.params) == {"limitPayloadValues": "1", "proposedActionsJobId": "77"}
    assert client.calls == {"sample:conflict": 1}


@pytest.mark.parametrize(("what", "query"), [("image", {}), ("wav", {"axisIx": "0"}), ("raw", {})])
async def test_bytes_come_as_they_are(
    client: StudioClient, studio: ScriptedStudio, what: str, query: dict[str, str]
) -> None:
    """Images, sounds and raw files are bytes, whatever their values."""
    body = bytes(range(256))
    studio.answer = lambda request: httpx.Response(200, content=body)
    assert await getattr(client, what)(1, 2) == body
    assert studio.paths == [f"GET /v1/api/1/raw-data/2/{what}"]
    assert dict(studio.requests[0].url.params) == query


async def test_media_failures_are_read(client: StudioClient, studio: ScriptedStudio) -> None:
    """JSON or HTML instead of an image is a failure, not an image, whatever it is called."""
    body = b'{"success": false, "error": "No such sample"}'
    for kind in ("application/json", "text/plain", "image/jpeg", "application/octet-stream"):
        studio.queue(httpx.Response(200, content=body, headers={"content-type": kind}))
        with pytest.raises(SampleNotFound, match="Sample 2 is gone"):
            await client.image(1, 2)
    studio.answer = lambda request: httpx.Response(200, html="<html>")
    with pytest.raises(StudioConfused):
        await client.image(1, 2)


async def test_a_sample_in_processing_is_come_back_to(client: StudioClient, studio: ScriptedStudio) -> None:
    """A sample that is not ready is not refused for good, and not asked for again at once."""
    studio.queue(httpx.Response(200, json={"success": False, "error": "Sample is still processing"}))
    with pytest.raises(StudioUnavailable) as caught:
        await client.image(1, 2)
    assert caught.value.retry_after_s == 30
    assert len(studio.requests) == 1


async def test_clients_are_shared_by_key(studio: ScriptedStudio) -> None:
    """One key has one client, so its limits hold for all who use it."""
    clients = StudioClients(StudioSettings(endpoint="http://s.test"), transport=httpx.MockTransport(studio))
    assert clients.get(SecretStr("ei_a")) is clients.get(SecretStr("ei_a"))
    assert clients.get(SecretStr("ei_a")) is not clients.get(SecretStr("ei_b"))
    await clients.aclose()


async def test_clients_of_keys_that_died_are_closed(studio: ScriptedStudio) -> None:
    """Each run of a block brings a key of its own: what nobody asks for in an hour does not stay for ever."""
    now = 0.0
    clients = StudioClients(
        StudioSettings(endpoint="http://s.test"), transport=httpx.MockTransport(studio), clock=lambda: now
    )
    old = [clients.get(SecretStr(f"ei_{number}")) for number in range(64)]
    clients.get(SecretStr("ei_busy"))
    now = 3601.0
    assert clients.get(SecretStr("ei_1")) is old[1]
    clients.get(SecretStr("ei_new"))
    assert clients.get(SecretStr("ei_1")) is old[1]
    assert clients.get(SecretStr("ei_0")) is not old[0]
    await clients.aclose()
    assert all(client._http.is_closed for client in old)
