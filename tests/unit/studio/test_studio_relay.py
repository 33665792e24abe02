"""Answers handed on as they came, for a program that reads them itself."""

import httpx
import pytest
from labelbus_studio import KeyRefused, StudioClient, StudioUnavailable
from labelbus_studio.answers import Call
from labelbus_studio.testing import TEST_KEY, ScriptedStudio

CALL = Call(route="relay", path="/api/1/anything", params={"limit": "3"})


async def test_an_answer_comes_whole(client: StudioClient, studio: ScriptedStudio) -> None:
    """With its media type, whatever it is about, and without the key that it may hold."""
    body = f"not JSON, {TEST_KEY}".encode()
    studio.queue(httpx.Response(200, content=body, headers={"content-type": "text/plain"}))
    answer = await client.relay(CALL)
    assert (answer.kind, answer.content) == ("text/plain", b"not JSON, ***")
    assert studio.requests[0].url.query == b"limit=3"


@pytest.mark.parametrize(("status", "error"), [(401, KeyRefused), (503, StudioUnavailable)])
async def test_faults_are_the_clients(
    client: StudioClient, studio: ScriptedStudio, status: int, error: type[Exception]
) -> None:
    """A refused key and a busy Studio are no answers."""
    studio.answer = lambda request: httpx.Response(status)
    with pytest.raises(error):
        await client.relay(CALL)
