"""Projects, jobs, impulses and blocks."""

import asyncio

import httpx
import pytest
from labelbus_studio import Classification, KeyRefused, ScoredBox, StudioClient
from labelbus_studio.testing import ScriptedStudio


def ok(**answer: object) -> httpx.Response:
    return httpx.Response(200, json={"success": True, **answer})


async def test_the_project_is_read_once(client: StudioClient, studio: ScriptedStudio) -> None:
    """The key's project is the first of the list, and asked for once however many want it."""
    studio.answer = lambda request: ok(
        projects=[{"id": 7, "name": "birds", "labelingMethod": "object_detection"}]
    )
    one, other = await asyncio.gather(client.project(), client.project())
    assert (one.id, one.name, one.labeling_method) == (7, "birds", "object_detection")
    assert one is other
    assert client.calls == {"projects": 1}


async def test_a_key_without_a_project_is_refused(client: StudioClient, studio: ScriptedStudio) -> None:
    """An empty list says that the key is not a project's."""
    studio.queue(ok(projects=[]))
    with pytest.raises(KeyRefused, match="no project"):
        await client.project()


async def test_a_new_labeling_method_is_unknown(client: StudioClient, studio: ScriptedStudio) -> None:
    """A labeling method that we do not know fails nothing."""
    studio.queue(ok(projects=[{"id": 7, "labelingMethod": "segmentation"}]))
    assert (await client.project()).labeling_method == "unknown"


async def test_key_and_project_info(client: StudioClient, studio: ScriptedStudio) -> None:
    """The key tells its project and role, the project its labels and size."""
    studio.queue(
        ok(projectId=7, role="admin", apiKeyId=1),
        ok(project={"id": 7, "name": "p"}, dataSummary={"labels": ["a"], "dataCount": 3}),
    )
    assert (await client.key_info()).role == "admin"
    info = await client.project_info(7)
    assert (info.project.id, info.labels, info.sample_count) == (7, ("a",), 3)


async def test_a_job_succeeds_only_when_it_ended(client: StudioClient, studio: ScriptedStudio) -> None:
    """A running job has neither succeeded nor failed."""
    studio.queue(
        ok(job={"id": 5, "finishedSuccessful": False}),
        ok(job={"id": 5, "finished": "2026-01-02T03:04:05Z", "finishedSuccessful": True}),
        ok(job={"id": 5, "finished": "2026-01-02T03:04:05Z"}),
    )
    assert [(await client.job(7, 5)).succeeded for _ in range(3)] == [None, True, False]


async def test_the_lines_of_a_job_are_in_order(client: StudioClient, studio: ScriptedStudio) -> None:
    """Lines are sorted by time, whatever order they come in."""
    rows = [{"created": f"2026-01-02T03:04:0{i}Z", "data": str(i)} for i in (3, 1, 2)]
    studio.queue(ok(stdout=rows, totalCount=3))
    assert [line.text for line in await client.job_stdout(7, 5)] == ["1", "2", "3"]
    await client.cancel_job(7, 5, force=True)
    assert studio.requests[1].url.params["forceCancel"] == "true"


async def test_an_image_is_classified(client: StudioClient, studio: ScriptedStudio) -> None:
    """The image travels as multipart; scores or boxes come back as Studio gives them."""
    box = {"label": "cat", "x": 0.1, "y": 0, "width": 1, "height": 0.5, "score": 0.9}
    studio.queue(ok(result={"cat": 0.75, "dog": 0}), ok(boundingBoxes=[box]), ok())
    assert await client.classify_image(7, b"\xff\xd8", impulse_id=2) == Classification(
        {"cat": 0.75, "dog": 0}
    )
    found = await client.classify_image(7, b"\xff\xd8")
    assert found == Classification(None, (ScoredBox("cat", 0.1, 0, 1, 0.5, 0.9),))
    assert await client.classify_image(7, b"\xff\xd8") == Classification()
    sent = studio.requests[0]
    assert sent.url.params["impulseId"] == "2"
    assert b'name="image"; filename="image.jpeg"' in sent.content


async def test_a_project_without_an_impulse(client: StudioClient, studio: ScriptedStudio) -> None:
    """A missing impulse is success without one."""
    studio.queue(ok(), ok(impulse={"id": 1}))
    assert await client.impulse(7) is None
    assert await client.impulse(7) == {"id": 1}


async def test_blocks_of_an_organisation(client: StudioClient, studio: ScriptedStudio) -> None:
    """Blocks tell whether they are offered for AI labeling and for what."""
    row = {"id": 1, "name": "b", "showInAIActions": True, "aiActionsOperatesOn": ["audio"]}
    studio.queue(ok(transformationBlocks=[row, {"id": 2}]))
    one, other = await client.transformation_blocks(3)
    assert (one.shown_in_ai_actions, one.operates_on, other.shown_in_ai_actions) == (True, ("audio",), False)
