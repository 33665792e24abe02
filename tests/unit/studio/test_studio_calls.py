"""One call: what failures mean, what is tried again, and that the key stays secret."""

import asyncio
import logging
import socket
import ssl
import time
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from labelbus_studio import (
    JobNotFound,
    KeyRefused,
    SampleNotFound,
    SampleQuery,
    StudioClient,
    StudioConfused,
    StudioError,
    StudioRefused,
    StudioSettings,
    StudioUnavailable,
)
from labelbus_studio.answers import retry_after_s
from labelbus_studio.limits import Limits
from labelbus_studio.testing import TEST_KEY, ScriptedStudio
from pydantic import SecretStr, ValidationError


def refusal(text: str, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json={"success": False, "error": text})


def busy(status: int = 429, after: str | None = None) -> httpx.Response:
    return httpx.Response(status, headers={"retry-after": after} if after else {})


def cut_short() -> httpx.Response:
    return httpx.Response(200, headers={"content-length": "999"}, content=b'{"success": true}')


async def test_a_failure_inside_200_is_a_refusal(client: StudioClient, studio: ScriptedStudio) -> None:
    """`success: false` inside HTTP 200 is refused with Studio's own words, and not tried again."""
    studio.queue(refusal("Invalid bounding box."))
    with pytest.raises(StudioRefused, match=r": Invalid bounding box\.$") as caught:
        await client.set_bounding_boxes(1, 2, [])
    assert type(caught.value) is StudioRefused
    assert len(studio.requests) == 1


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refusal("No such sample"), SampleNotFound),
        (refusal("Sample 2 does not exist"), SampleNotFound),
        (refusal("whatever", 404), SampleNotFound),
        (refusal("Job not found", 404), JobNotFound),
        (refusal("No such job: 7"), JobNotFound),
        (httpx.Response(404, html="<h1>nginx</h1>"), StudioRefused),
        (refusal("Invalid API key"), KeyRefused),
        (refusal("jwt token missing"), KeyRefused),
        (refusal("You do not have permission to do this"), KeyRefused),
        (httpx.Response(401), KeyRefused),
        (httpx.Response(403, html="no"), KeyRefused),
        (refusal("bad", 400), StudioRefused),
        (httpx.Response(302, headers={"location": "http://elsewhere.test/"}), StudioRefused),
    ],
)
async def test_refusals_are_split_by_what_they_concern(
    client: StudioClient, studio: ScriptedStudio, reply: httpx.Response, kind: type[StudioError]
) -> None:
    """The sample, the key or only this request is refused, by status and text; none is tried again."""
    studio.queue(reply)
    with pytest.raises(StudioRefused) as caught:
        await client.read_sample(1, 2)
    assert type(caught.value) is kind
    assert len(studio.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        busy(429),
        busy(503, "0"),
        busy(500),
        busy(408),
        refusal("Too many requests, please try again later"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("peer closed connection"),
        httpx.ReadError(""),
        cut_short(),
        httpx.Response(200, html="<html>login</html>"),
        httpx.Response(200, content=b'{"success": tr'),
        httpx.Response(200, json=[1]),
        httpx.Response(200, json={"samples": []}),
    ],
)
async def test_short_faults_are_tried_again(
    client: StudioClient, studio: ScriptedStudio, fault: httpx.Response | Exception
) -> None:
    """A call that sets state is repeated after each fault that may pass."""
    studio.queue(fault)
    await client.edit_label(1, 2, "cat")
    assert len(studio.requests) == 2
    assert client.calls["edit-label"] == 2


async def test_retries_end_within_their_budget(client: StudioClient, studio: ScriptedStudio) -> None:
    """Faults that stay are raised within 10 s, after waits that grow."""
    studio.answer = lambda request: busy(502)
    with pytest.raises(StudioUnavailable) as caught:
        await client.count(1, SampleQuery())
    assert caught.value.retry_after_s is None
    assert 5 < studio.now <= 10
    assert studio.waits[-1] > studio.waits[0]


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (ssl.SSLCertVerificationError("self-signed"), "SSL_CERT_FILE"),
        (ssl.SSLError("record layer failure"), "TLS"),
        (socket.gaierror("unknown"), "host is not known"),
        (ConnectionRefusedError("refused"), "nobody listens"),
        (ExceptionGroup("many", [ConnectionRefusedError("refused")]), "nobody listens"),
    ],
)
async def test_what_is_wrong_with_a_connection_is_told(
    client: StudioClient, studio: ScriptedStudio, cause: Exception, said: str
) -> None:
    """A person learns whether the address, the network or a certificate is wrong."""
    fault = httpx.ConnectError("cannot")
    fault.__cause__ = cause
    studio.answer = lambda request: (_ for _ in ()).throw(fault)
    with pytest.raises(StudioUnavailable, match=said):
        await client.projects()


async def test_a_page_that_stays_is_confusing(client: StudioClient, studio: ScriptedStudio) -> None:
    """HTML inside HTTP 200 is tried again and then raised as StudioConfused."""
    studio.answer = lambda request: httpx.Response(200, html="<html>login</html>")
    with pytest.raises(StudioConfused, match="EI_API_ENDPOINT"):
        await client.projects()
    assert len(studio.requests) > 2


async def test_retry_after_is_waited_out(client: StudioClient, studio: ScriptedStudio) -> None:
    """A wait that Studio asks for and that fits the budget is kept to."""
    studio.queue(busy(429, "7"))
    await client.enable(1, 2)
    assert studio.waits == [7.0]


async def test_a_long_retry_after_goes_to_the_caller(client: StudioClient, studio: ScriptedStudio) -> None:
    """A wait beyond the budget is raised at once, with its length."""
    studio.queue(busy(503, "120"))
    with pytest.raises(StudioUnavailable) as caught:
        await client.enable(1, 2)
    assert caught.value.retry_after_s == 120
    assert studio.waits == []


def test_retry_after_is_seconds_or_a_date() -> None:
    """Both forms are read; the past is 0 and nonsense is nothing."""
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert retry_after_s("12", now) == 12
    assert retry_after_s(format_datetime(now + timedelta(seconds=90), usegmt=True), now) == 90
    assert retry_after_s(format_datetime(now - timedelta(seconds=90), usegmt=True), now) == 0
    assert [retry_after_s(odd, now) for odd in ("soon", "-3", "", None, "Mon, 99 Foo")] == [None] * 5


@pytest.mark.parametrize("fault", [busy(500), httpx.ReadTimeout(""), cut_short()])
async def test_what_starts_something_is_not_repeated_in_doubt(
    client: StudioClient, studio: ScriptedStudio, fault: httpx.Response | Exception
) -> None:
    """A split or a create whose outcome is unknown is raised at once."""
    studio.queue(fault)
    with pytest.raises(StudioError):
        await client.split_video(1, 2, fps=5)
    assert len(studio.requests) == 1


@pytest.mark.parametrize("fault", [busy(429), httpx.ConnectError("refused")])
async def test_what_never_began_is_repeated(
    client: StudioClient, studio: ScriptedStudio, fault: httpx.Response | Exception
) -> None:
    """A split is sent again where Studio certainly did nothing."""
    studio.queue(fault, httpx.Response(200, json={"success": True, "id": 9}))
    assert await client.split_video(1, 2) == 9


@pytest.mark.parametrize(
    "reply",
    [
        refusal(f"API key {TEST_KEY} is invalid"),
        refusal(f"no {TEST_KEY}", 400),
        httpx.LocalProtocolError(f"Illegal header value {TEST_KEY}"),
        busy(500),
        httpx.Response(302, headers={"location": f"http://x.test/?{TEST_KEY}"}),
    ],
)
async def test_the_key_is_never_shown(
    client: StudioClient,
    studio: ScriptedStudio,
    reply: httpx.Response | Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No error, traceback with locals, log or repr has the key in it."""
    caplog.set_level(logging.DEBUG)
    studio.queue(*[reply] * 20)
    with pytest.raises(StudioError) as caught:
        await client.read_sample(1, 2)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    texts = (str(caught.value), repr(caught.value), *shown.format(), caplog.text, repr(client))
    assert not [text for text in texts if TEST_KEY in text and __file__ not in text]
    assert TEST_KEY not in repr(client.settings)
    assert studio.requests[0].headers["x-api-key"] == TEST_KEY


@pytest.mark.parametrize("key", ["", " ei_x", "ei_x\n", "ei_é"])
async def test_a_key_that_no_header_takes_is_refused(studio: ScriptedStudio, key: str) -> None:
    """A key with odd characters is refused before anything is sent, without showing it."""
    async with studio.client(key) as client:
        with pytest.raises(KeyRefused) as caught:
            await client.project()
    assert studio.requests == []
    assert not key or key not in str(caught.value)


async def test_calls_start_at_the_given_rate(studio: ScriptedStudio) -> None:
    """Starts are spaced by the rate."""
    async with studio.client(rate_per_s=2, queue_within_s=1) as client:
        await client.enable(1, 2)
        await client.enable(1, 2)
    assert studio.waits == [0.5]


@pytest.mark.parametrize(
    "given", ["http://h.test", "http://h.test/", "http://h.test/v1", "http://h.test/v1/"]
)
def test_the_endpoint_may_lack_its_version(given: str) -> None:
    """The endpoint is accepted with or without `/v1` and a trailing slash."""
    assert StudioSettings(endpoint=given).endpoint == "http://h.test/v1"


def test_the_endpoint_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`EI_API_ENDPOINT` is what Studio sets for blocks; the rest is prefixed."""
    monkeypatch.setenv("EI_API_ENDPOINT", "https://self.hosted.test/studio/v1")
    monkeypatch.setenv("LABELBUS_STUDIO_CONCURRENCY", "4")
    settings = StudioSettings()
    assert (settings.endpoint, settings.concurrency) == ("https://self.hosted.test/studio/v1", 4)


def test_an_endpoint_that_is_no_address_is_refused() -> None:
    """A wrong endpoint says what to set."""
    with pytest.raises(ValidationError, match="EI_API_ENDPOINT"):
        StudioSettings(endpoint="studio.edgeimpulse.com")


async def test_no_cookie_is_kept(client: StudioClient, studio: ScriptedStudio) -> None:
    """A session that Studio hands out is not used: the key alone says who asks."""
    studio.queue(httpx.Response(200, headers={"set-cookie": "jwt=abc; Path=/"}, json={"success": True}))
    await client.enable(1, 2)
    await client.enable(1, 2)
    assert "cookie" not in studio.requests[1].headers


class Hanging(httpx.AsyncBaseTransport):
    """Answers nothing until it is let go; knows how many calls it holds at most."""

    def __init__(self) -> None:
        self.held = self.most = 0
        self.go = asyncio.Event()
        self.arrivals = asyncio.Semaphore(0)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Hold the call."""
        self.held += 1
        self.arrivals.release()
        self.most = max(self.most, self.held)
        try:
            await self.go.wait()
        finally:
            self.held -= 1
        return httpx.Response(200, json={"success": True})


def hung_client(transport: Hanging, **settings: object) -> StudioClient:
    return StudioClient(
        SecretStr(TEST_KEY), settings=StudioSettings.model_validate(settings), transport=transport
    )


async def test_only_so_many_calls_run_at_once() -> None:
    """Fifty calls wait for the three slots of their project, and all are made."""
    transport = Hanging()
    async with hung_client(transport, concurrency=3) as client:
        calls = asyncio.gather(*(client.enable(1, i) for i in range(50)))
        for _ in range(3):
            await transport.arrivals.acquire()
        transport.go.set()
        await calls
    assert transport.most == 3
    assert client.calls["enable"] == 50


async def test_the_rate_holds_behind_a_jam() -> None:
    """Calls that waited for a slot start apart all the same, not all at once when the slot is free."""
    now, starts, go = [0.0], list[float](), asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        starts.append(now[0])
        await go.wait()
        return httpx.Response(200, json={"success": True})

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    client = StudioClient(
        SecretStr(TEST_KEY),
        settings=StudioSettings(concurrency=1, rate_per_s=2),
        transport=httpx.MockTransport(answer),
        clock=lambda: now[0],
        sleep=sleep,
    )
    async with client:
        calls = asyncio.gather(*(client.enable(1, i) for i in range(4)))
        for _ in range(20):
            await asyncio.sleep(0)
        go.set()
        await calls
    assert starts == [0.0, 0.5, 1.0, 1.5]


async def test_an_answer_that_never_comes_is_given_up() -> None:
    """Neither an answer nor a slot is waited for without end."""
    transport = Hanging()
    limits = {"concurrency": 1, "timeout_s": 0.1, "queue_within_s": 0.02, "retry_within_s": 0}
    async with hung_client(transport, **limits) as client:
        first = asyncio.create_task(client.enable(1, 2))
        await transport.arrivals.acquire()
        with pytest.raises(StudioUnavailable, match="CONCURRENCY"):
            await client.enable(1, 3)
        with pytest.raises(StudioUnavailable, match="TimeoutError"):
            await first
    assert transport.held == 0


async def test_cancelling_a_call_frees_its_slot() -> None:
    """Cancellation passes through, and the next call goes ahead."""
    transport = Hanging()
    async with hung_client(transport, concurrency=1) as client:
        first = asyncio.create_task(client.enable(1, 2))
        await transport.arrivals.acquire()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        transport.go.set()
        await client.enable(1, 3)


async def test_a_write_goes_before_all_reads_that_wait() -> None:
    """What was compared is written at once; reads of samples whose turn is later do not come between."""
    order, go = list[str](), asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        order.append(f"{request.method} {request.url.path.split('/')[-1]}")
        await go.wait()
        return refusal("no")

    transport = httpx.MockTransport(answer)
    async with StudioClient(
        SecretStr(TEST_KEY), settings=StudioSettings(concurrency=1), transport=transport
    ) as client:
        calls: list[asyncio.Task[object]] = []
        calls += [asyncio.create_task(client.read_sample(1, i)) for i in (10, 11, 12)]
        await asyncio.sleep(0)
        calls.append(asyncio.create_task(client.set_metadata(1, 9, {})))
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*calls, return_exceptions=True)
    assert order == ["GET 10", "POST metadata", "GET 11", "GET 12"]


@pytest.mark.parametrize("granted", [False, True])
async def test_who_is_cancelled_in_the_queue_takes_no_slot_along(granted: bool) -> None:
    """Whether before its turn or just when that has come."""
    limits = Limits(StudioSettings(concurrency=1), clock=time.monotonic, sleep=asyncio.sleep)

    async def call() -> None:
        async with limits.slot():
            pass

    async with limits.slot():
        waiting = asyncio.create_task(call())
        await asyncio.sleep(0)
        if not granted:
            waiting.cancel()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    async with asyncio.timeout(5):
        await call()
