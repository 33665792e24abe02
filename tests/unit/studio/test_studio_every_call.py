"""Every call of the client: what goes wrong is one of the package's errors, whatever Studio answers."""

import inspect
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import httpx
import pytest
from labelbus_studio import (
    ProposedChanges,
    SampleQuery,
    StudioAction,
    StudioClient,
    StudioConfused,
    StudioError,
    StudioRefused,
    StudioUnavailable,
)
from labelbus_studio.calls import Calls
from labelbus_studio.testing import ScriptedStudio


async def pages(client: StudioClient) -> object:
    return [page async for page in client.pages(1, SampleQuery())]


def same(reply: httpx.Response, request: httpx.Request) -> httpx.Response:
    """Answer every request alike."""
    return reply


CALLS: Final[dict[str, Callable[[StudioClient], Awaitable[object]]]] = {
    "pages": pages,
    "read_sample": lambda client: client.read_sample(1, 2),
    "read_samples": lambda client: client.read_samples(1, [1, 2, 3]),
    "newest_id": lambda client: client.newest_id(1),
    "count": lambda client: client.count(1, SampleQuery()),
    "image": lambda client: client.image(1, 2),
    "wav": lambda client: client.wav(1, 2),
    "raw": lambda client: client.raw(1, 2),
    "set_bounding_boxes": lambda client: client.set_bounding_boxes(1, 2, []),
    "set_structured_labels": lambda client: client.set_structured_labels(1, 2, []),
    "edit_label": lambda client: client.edit_label(1, 2, "cat"),
    "set_metadata": lambda client: client.set_metadata(1, 2, {}),
    "disable": lambda client: client.disable(1, 2),
    "enable": lambda client: client.enable(1, 2),
    "propose": lambda client: client.propose(1, 2, 3, ProposedChanges()),
    "split_video": lambda client: client.split_video(1, 2),
    "add_metadata": lambda client: client.add_metadata(1, [1], "key", "value"),
    "edit_labels": lambda client: client.edit_labels(1, [1], "cat"),
    "enable_samples": lambda client: client.enable_samples(1, [1]),
    "disable_samples": lambda client: client.disable_samples(1, [1]),
    "proposals": lambda client: client.proposals(1, 2),
    "clear_proposals": lambda client: client.clear_proposals(1, 2),
    "key_info": lambda client: client.key_info(),
    "project": lambda client: client.project(),
    "projects": lambda client: client.projects(),
    "project_info": lambda client: client.project_info(1),
    "impulse": lambda client: client.impulse(1),
    "classify_image": lambda client: client.classify_image(1, b"image"),
    "ai_actions": lambda client: client.ai_actions(1),
    "create_ai_action": lambda client: client.create_ai_action(1),
    "update_ai_action": lambda client: client.update_ai_action(1, StudioAction(1)),
    "order_ai_actions": lambda client: client.order_ai_actions(1, [1]),
    "job": lambda client: client.job(1, 2),
    "job_stdout": lambda client: client.job_stdout(1, 2),
    "cancel_job": lambda client: client.cancel_job(1, 2),
    "transformation_blocks": lambda client: client.transformation_blocks(1),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
ODD: Final[tuple[object, ...]] = (
    None, 5, -1, "a", "", True, [], {}, [5], [None], [[]], [{}], 10**30, float("nan"), float("inf"),
    {"id": "x"}, [{"id": "x"}], [{"id": 1, "boundingBoxes": 5}], [{"id": 1, "boundingBoxes": [{"x": 1}]}],
    {"id": 1, "structuredLabels": [{"startIndex": None}]}, {"id": 1, "labelMap": {"labels": [1]}},
    {"id": 1, "datastreams": [5], "imageDimensions": {"width": "x"}, "valuesCount": "9", "frequency": []},
    {"id": 1, "created": "9999-12-31T23:59:59-14:00", "config": {"steps": [{"parameters": []}]}},
)  # fmt: skip
NAMES: Final = (
    "samples", "sample", "count", "totalCount", "id", "projects", "project", "dataSummary", "impulse",
    "result", "boundingBoxes", "actions", "job", "transformationBlocks",
    "proposedChanges", "stdout", "projectId",
)  # fmt: skip


def test_no_call_is_left_out() -> None:
    """A new method of the client gets a line above."""
    public = {name for name, _ in inspect.getmembers(StudioClient, callable) if not name.startswith("_")}
    assert CALLS.keys() == public - set(dir(Calls))


@each_call
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (httpx.Response(200, json={"success": False, "error": "no"}), StudioRefused),
        (httpx.Response(200, json={"success": False}), StudioRefused),
        (httpx.Response(200, json={"success": False, "error": {"odd": 1}}), StudioRefused),
        (httpx.Response(302, headers={"location": "/login"}), StudioRefused),
        (httpx.Response(200, html="<html>sign in</html>"), StudioConfused),
        (httpx.Response(502, html="<html>bad gateway</html>"), StudioUnavailable),
    ],
    ids=["refused", "unsaid", "odd", "redirect", "login", "gateway"],
)
async def test_failures_are_told_by_kind(
    studio: ScriptedStudio,
    call: Callable[[StudioClient], Awaitable[object]],
    reply: httpx.Response,
    kind: type[StudioError],
) -> None:
    """A refusal inside 200, a redirect and a proxy's pages mean the same at every route."""
    studio.answer = lambda request: reply
    async with studio.client(retry_within_s=0) as client:
        with pytest.raises(kind):
            await call(client)


@each_call
async def test_odd_answers_never_crash(
    studio: ScriptedStudio, call: Callable[[StudioClient], Awaitable[object]]
) -> None:
    """Whatever the fields of an answer hold, a call answers or raises an error of ours."""
    async with studio.client(retry_within_s=0) as client:
        for odd in ODD:
            reply = httpx.Response(200, content=json.dumps({"success": True} | dict.fromkeys(NAMES, odd)))
            studio.answer = partial(same, reply)
            try:
                await call(client)
            except StudioError as error:
                assert len(str(error)) < 300
