"""The detector elsewhere, against a real HTTP server on the loopback."""

import asyncio
import base64
import logging
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from labelbus_detector.detections import Query
from labelbus_detector.remote import RemoteDetector
from labelbus_detector.settings import DetectorSettings
from labelbus_detector.testing import encoded, shapes
from labelbus_runtime.errors import RetryLater, SampleRefused
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

Serve = Callable[[ASGIApp], AbstractAsyncContextManager[str]]
QUERY = Query(encoded(shapes()), ("red square", "dog"))
KEY = "s3cret-key"
BOX = {"label": "red square", "score": 0.05, "box": {"xmin": -3, "ymin": 2, "xmax": 50, "ymax": 60}}


class Endpoint:
    """Stands in for the official endpoint: remembers requests and answers what it is told."""

    def __init__(self, response: Response, delay_s: float = 0.0) -> None:
        self.response, self.delay_s = response, delay_s
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        request = Request(scope, receive)
        self.bodies.append(await request.json())
        self.keys.append(request.headers["Authorization"])
        await asyncio.sleep(self.delay_s)
        await self.response(scope, receive, send)


def settings(address: str, **more: Any) -> DetectorSettings:
    """Make settings for an endpoint."""
    return DetectorSettings(beam_endpoint=address, beam_access_key=SecretStr(KEY), **more)


async def ask(serve: Serve, response: Response, query: Query = QUERY) -> tuple[Any, Endpoint]:
    """Ask an endpoint once; give its answer or the error."""
    endpoint = Endpoint(response)
    async with serve(endpoint) as address:
        detector = RemoteDetector(settings(address))
        await detector.open()
        try:
            return await detector.detect(query), endpoint
        except (RetryLater, SampleRefused) as error:
            return error, endpoint
        finally:
            await detector.close()


async def test_the_official_format_is_spoken(serve: Serve) -> None:
    """Image and phrases go as the block sends them; low scores come through, in the upright frame."""
    detected, endpoint = await ask(serve, JSONResponse({"predictions": [BOX]}))
    (sent,) = endpoint.bodies
    assert set(sent) == {"base64_image", "labels"}
    assert base64.b64decode(sent["base64_image"]) == QUERY.image
    assert sent["labels"] == ["red square", "dog"]
    assert endpoint.keys == [f"Bearer {KEY}"]
    (found,) = detected.detections
    assert (found.phrase, found.score, found.xmin, found.ymax) == ("red square", 0.05, -3, 60)
    assert (detected.frame.width, detected.frame.height) == (320, 240)


async def test_a_threshold_is_sent_where_asked_for(serve: Serve) -> None:
    """Our own server takes it; the official one never sees it unless wanted."""
    _, endpoint = await ask(serve, JSONResponse({"predictions": []}), Query(QUERY.image, ("a",), 0.3))
    assert endpoint.bodies[0]["threshold"] == 0.3


@pytest.mark.parametrize(
    ("response", "code", "scope", "after_s"),
    [
        (Response(status_code=401), "endpoint-key-refused", "job", None),
        (Response(status_code=403), "endpoint-key-refused", "job", None),
        (Response(status_code=404), "endpoint-wrong", "job", None),
        (Response(status_code=302, headers={"Location": "/x"}), "endpoint-wrong", "job", None),
        (Response("oops", 500), "endpoint-busy", "sample", None),
        (Response(status_code=429, headers={"Retry-After": "7"}), "endpoint-busy", "sample", 7.0),
        (Response("<html>"), "endpoint-answer", "sample", None),
        (JSONResponse({"error": "no"}), "endpoint-answer", "sample", None),
        (JSONResponse({"predictions": [{"label": "a"}]}), "endpoint-answer", "sample", None),
    ],
)
async def test_failures_are_told_apart(
    serve: Serve, response: Response, code: str, scope: str, after_s: float | None
) -> None:
    """A revoked key stops the job, a busy endpoint is tried later, a strange answer is quoted."""
    error, _ = await ask(serve, response)
    assert isinstance(error, RetryLater)
    assert (error.code, error.scope, error.after_s) == (code, scope, after_s)
    assert KEY not in str(error)


async def test_a_refused_image_fails_alone(serve: Serve) -> None:
    """HTTP 400 concerns the sample, for good, and says what the endpoint said."""
    error, _ = await ask(serve, JSONResponse({"error": "bad image"}, 400))
    assert isinstance(error, SampleRefused)
    assert "bad image" in error.reason


async def test_a_bad_image_is_not_sent(serve: Serve) -> None:
    """What is no image is refused here."""
    error, endpoint = await ask(serve, JSONResponse({"predictions": []}), Query(b"text", ("a",)))
    assert isinstance(error, SampleRefused) and not endpoint.bodies


async def test_patience_ends_with_the_first_answer(serve: Serve) -> None:
    """The first answer may be slow; later ones of the same slowness time out, until the GPU is cold again."""
    endpoint, now = Endpoint(JSONResponse({"predictions": []}), delay_s=0.3), [0.0]
    async with serve(endpoint) as address:
        made = settings(address, remote_first_timeout_s=20, remote_timeout_s=0.1)
        detector = RemoteDetector(made, clock=lambda: now[0])
        await detector.open()
        assert not (await detector.detect(QUERY)).detections
        with pytest.raises(RetryLater, match=r"within 0\.1 s"):
            await detector.detect(QUERY)
        now[0] = 300.0
        assert not (await detector.detect(QUERY)).detections
        await detector.close()


async def test_an_unreachable_endpoint_is_tried_later() -> None:
    """A refused connection names the setting, not the key."""
    transport = httpx.MockTransport(_refuse)
    detector = RemoteDetector(settings("https://owl.example/"), transport=transport)
    await detector.open()
    with pytest.raises(RetryLater, match="BEAM_ENDPOINT"):
        await detector.detect(QUERY)
    await detector.close()


def _refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


async def test_an_untrusted_certificate_is_told() -> None:
    """A detector behind a certificate of one's own organisation says what to set."""

    def distrust(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no", request=request) from ssl.SSLCertVerificationError("self-signed")

    detector = RemoteDetector(settings("https://owl.example/"), transport=httpx.MockTransport(distrust))
    await detector.open()
    with pytest.raises(RetryLater, match="SSL_CERT_FILE"):
        await detector.detect(QUERY)
    await detector.close()


async def test_the_key_is_never_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Not even at the most talkative level, nor in a printed setting."""
    with caplog.at_level(logging.DEBUG):
        await ask(serve, JSONResponse({"predictions": []}))
    assert KEY not in caplog.text
    assert KEY not in repr(settings("https://owl.example/"))
