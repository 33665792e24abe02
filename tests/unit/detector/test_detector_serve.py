"""The server: the official format, a token, batches over clients, and clear refusals."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
import torch
from labelbus_detector import serve as serving
from labelbus_detector.detections import Detected, Detection, Query
from labelbus_detector.engine import Ask, OwlEngine
from labelbus_detector.remote import RemoteDetector
from labelbus_detector.serve import serve_app
from labelbus_detector.settings import DetectorSettings
from labelbus_detector.testing import encoded, shapes
from labelbus_labeling.images import Frame
from labelbus_runtime.errors import RetryLater, SettingsError
from pydantic import SecretStr
from starlette.types import ASGIApp, Message

Serve = Callable[[ASGIApp], AbstractAsyncContextManager[str]]
IMAGE = encoded(shapes())
TOKEN = SecretStr("token")
SETTINGS = DetectorSettings(model="toy", device="cpu", serve_token=TOKEN, serve_max_body_bytes=100_000)


def body(image: bytes = IMAGE, labels: Sequence[str] = ("red square",), **more: Any) -> dict[str, Any]:
    """Make a request's body."""
    return {"base64_image": base64.b64encode(image).decode(), "labels": list(labels), **more}


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server on the toy model, with the right token."""
    async with (
        serve(serve_app(SETTINGS)) as address,
        httpx.AsyncClient(base_url=address, headers={"Authorization": "Bearer token"}, timeout=30) as made,
    ):
        yield made


async def test_predictions_are_the_official_format(client: httpx.AsyncClient) -> None:
    """Label, score and whole-number corners come back."""
    answer = await client.post("/", json=body(threshold=0.4))
    first = answer.json()["predictions"][0]
    assert answer.status_code == 200 and first["label"] == "red square" and 0.4 < first["score"] <= 1
    assert {type(edge) for edge in first["box"].values()} == {int}


async def test_our_client_and_our_server_agree(serve: Serve, toy: OwlEngine) -> None:
    """What a remote detector returns is what the engine found."""
    async with serve(serve_app(SETTINGS)) as address:
        detector = RemoteDetector(DetectorSettings(beam_endpoint=address, beam_access_key=TOKEN))
        await detector.open()
        detected = await detector.detect(Query(IMAGE, ("red square", "dog")))
        await detector.close()
    from labelbus_detector.images import decode

    picture = decode(IMAGE)
    wanted = toy.detect([toy.prepare(picture.rgb)], [Ask(("red square", "dog"), picture.frame)])[0]
    assert [(d.phrase, d.xmin, d.ymin, d.xmax, d.ymax) for d in detected.detections] == [
        (d.phrase, d.xmin, d.ymin, d.xmax, d.ymax) for d in wanted
    ]


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
async def test_the_word_bearer_may_be_written_anyhow(client: httpx.AsyncClient, scheme: str) -> None:
    """HTTP does not tell the schemes of authorization by case."""
    answer = await client.post("/", json=body(), headers={"Authorization": f"{scheme} token"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "header",
    [{}, {"Authorization": "token"}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer tökén"}],
)
async def test_a_wrong_token_is_refused(client: httpx.AsyncClient, header: dict[str, str]) -> None:
    """Without the token nothing is computed."""
    client.headers.pop("Authorization")
    sent = [(name.encode(), value.encode("latin-1")) for name, value in header.items()]
    answer = await client.post("/", json=body(), headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorised")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (body(b"no image"), "image-unreadable"),
        (body(b""), "image-empty"),
        (body(labels=[]), "bad-request"),
        (body(labels=[""]), "bad-request"),
        (body(threshold=3), "bad-request"),
        ({"labels": ["a"]}, "bad-request"),
        ({"base64_image": "???", "labels": ["a"]}, "bad-request"),
    ],
)
async def test_bad_requests_are_explained(client: httpx.AsyncClient, content: Any, code: str) -> None:
    """HTTP 400 with a reason, and the server goes on."""
    answer = await client.post("/", json=content)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (await client.post("/", json=body())).status_code == 200


async def test_a_large_request_is_refused(client: httpx.AsyncClient) -> None:
    """More bytes than the limit are not read."""
    assert (await client.post("/", content=b"x" * 200_000)).status_code == 413


async def half_sent(then: Callable[[], Awaitable[Message]]) -> list[Message]:
    """Send a request's first byte, then what `then` says; return what the server sends."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": "/",
        "query_string": b"", "headers": [(b"authorization", b"Bearer token")],
    }  # fmt: skip
    begin: Message = {"type": "http.request", "body": b"{", "more_body": True}
    first = iter([begin])
    sent: list[Message] = []

    async def receive() -> Message:
        return next(first, None) or await then()

    async def send(message: Message) -> None:
        sent.append(message)

    await serve_app(SETTINGS, Stuck())(scope, receive, send)
    return sent


async def test_a_client_that_leaves_is_no_fault_of_ours() -> None:
    """A request cut off in its body ends quietly; nothing is raised into the server's log."""

    async def leave() -> Message:
        return {"type": "http.disconnect"}

    assert (await half_sent(leave))[0]["status"] == 499


async def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that stops sending does not keep its place for ever."""
    monkeypatch.setattr(serving, "_BODY_WITHIN_S", 0.05)

    async def stall() -> Message:
        never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await never

    assert (await half_sent(stall))[0]["status"] == 408


async def test_health_and_metrics(client: httpx.AsyncClient) -> None:
    """Both are open to probes, and count."""
    await client.post("/", json=body())
    assert (await client.get("/health")).json() == {"ready": True, "model": "toy"}
    assert 'labelbus_serve_answers_total{status="200"} 1.0' in (await client.get("/metrics")).text


async def test_clients_share_batches(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of many clients at once are computed together, each with its own phrases."""
    sizes: list[int] = []
    original = OwlEngine.detect

    def counted(
        self: OwlEngine, pixels: Sequence[torch.Tensor], asks: Sequence[Ask]
    ) -> list[tuple[Detection, ...]]:
        sizes.append(len(asks))
        return original(self, pixels, asks)

    monkeypatch.setattr(OwlEngine, "detect", counted)
    phrases = ["red square", "blue circle", "dog"] * 8
    answers = await asyncio.gather(*(client.post("/", json=body(labels=[one])) for one in phrases))
    for phrase, answer in zip(phrases, answers, strict=True):
        assert {row["label"] for row in answer.json()["predictions"]} <= {phrase}
    assert sum(sizes) == len(phrases) and max(sizes) > 1


class Stuck:
    """A detector that answers when told, or fails."""

    model = "stuck"

    def __init__(self, error: Exception | None = None) -> None:
        self.go, self.error = asyncio.Event(), error

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def detect(self, query: Query) -> Detected:
        if self.error:
            raise self.error
        await self.go.wait()
        return Detected((), Frame(1, 1))


async def test_too_many_waiting_are_sent_away(serve: Serve) -> None:
    """Past the limit a request is told to come back, and the waiting one is still answered."""
    stuck = Stuck()
    settings = SETTINGS.model_copy(update={"serve_max_waiting": 1})
    headers = {"Authorization": "Bearer token"}
    async with (
        serve(serve_app(settings, stuck)) as address,
        httpx.AsyncClient(base_url=address, headers=headers, timeout=30) as client,
    ):
        waiting = [asyncio.create_task(client.post("/", json=body())) for _ in range(2)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        refused = done.pop().result()
        assert refused.status_code == 503 and refused.headers["Retry-After"] == "5"
        stuck.go.set()
        assert sorted([one.result().status_code for one in (await asyncio.wait(waiting))[0]]) == [200, 503]


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("bug"), 500), (RetryLater("out of memory", after_s=9), 503)]
)
async def test_failures_inside_have_a_status(serve: Serve, error: Exception, status: int) -> None:
    """A bug is 500 without its text, a passing fault 503 with it."""
    headers = {"Authorization": "Bearer token"}
    async with serve(serve_app(SETTINGS, Stuck(error))) as address, httpx.AsyncClient() as client:
        answer = await client.post(address, json=body(), headers=headers)
    assert answer.status_code == status
    assert "bug" not in answer.text


def test_an_open_server_needs_a_token() -> None:
    """Beyond the loopback the server does not start without a token."""
    with pytest.raises(SettingsError, match="LABELBUS_SERVE_TOKEN"):
        serve_app(DetectorSettings(serve_host="0.0.0.0"))
    assert serve_app(DetectorSettings(serve_host="::1"))
    assert serve_app(DetectorSettings(serve_host="0.0.0.0", serve_token=TOKEN))
