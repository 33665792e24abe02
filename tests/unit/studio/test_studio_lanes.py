"""Lanes: one connection each, used again after whole answers, closed after all else."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from labelbus_simulator import Fault, Studio, serve
from labelbus_studio.lanes import Lanes, lanes_to


class Counted:
    """Makes transports that answer when they may, or fail, or hang in the body; counts them."""

    def __init__(self) -> None:
        self.made = self.closed = 0
        self.go, self.waits = asyncio.Event(), asyncio.Event()
        self.fails = self.hangs = False

    def __call__(self) -> httpx.AsyncBaseTransport:
        """Make one."""
        self.made += 1
        return Lane(self)


class Lane(httpx.AsyncBaseTransport):
    """One of them."""

    def __init__(self, maker: Counted) -> None:
        self._maker = maker

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer when it may."""
        if not self._maker.hangs:
            self._maker.waits.set()
        await self._maker.go.wait()
        if self._maker.fails:
            raise httpx.ConnectError("no", request=request)
        return httpx.Response(200, stream=Body(self._maker))

    async def aclose(self) -> None:
        """Count it."""
        self._maker.closed += 1


class Body(httpx.AsyncByteStream):
    """An answer's bytes."""

    def __init__(self, maker: Counted) -> None:
        self._maker = maker

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"wh"
        self._maker.waits.set()
        if self._maker.hangs:
            await asyncio.Event().wait()
        yield b"ole"


async def test_requests_at_once_get_a_lane_each_and_later_ones_use_them_again() -> None:
    """Three requests at once make three lanes; three more make none."""
    lanes = Counted()
    async with httpx.AsyncClient(transport=Lanes(lanes)) as client:
        both = asyncio.gather(*(client.get("http://s.test") for _ in range(3)))
        await asyncio.sleep(0)
        lanes.go.set()
        assert [answer.content for answer in await both] == [b"whole"] * 3
        await asyncio.gather(*(client.get("http://s.test") for _ in range(3)))
    assert lanes.made == 3


@pytest.mark.parametrize("by", ["an error", "a cancelled wait", "a cancelled body", "an unread body"])
async def test_a_lane_that_met_another_end_is_closed_and_replaced(by: str) -> None:
    """What was cancelled half way may never answer again; an error costs one new connection."""
    lanes = Counted()
    lanes.fails, lanes.hangs = by == "an error", by == "a cancelled body"
    async with httpx.AsyncClient(transport=Lanes(lanes)) as client:
        if by == "an unread body":
            lanes.go.set()
            async with client.stream("GET", "http://s.test"):
                pass
        else:
            await spoil(client, lanes, cancel=by != "an error")
        assert (lanes.made, lanes.closed) == (1, 1)
        lanes.fails = lanes.hangs = False
        lanes.go.set()
        assert (await client.get("http://s.test")).content == b"whole"
        assert (lanes.made, lanes.closed) == (2, 1)
    assert lanes.closed == 2


async def spoil(client: httpx.AsyncClient, lanes: Counted, *, cancel: bool) -> None:
    """Send a request that fails, or is cancelled where it waits."""
    waiting = asyncio.create_task(client.get("http://s.test"))
    if lanes.hangs or not cancel:
        lanes.go.set()
    if cancel:
        await lanes.waits.wait()
        waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_cancelled_calls_leave_no_connection_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over real sockets: calls are cancelled at every turn of the loop that they take; the next one works."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve(Studio()) as url:
        async with httpx.AsyncClient(transport=lanes_to(url), timeout=30) as client:
            for turns in range(60):
                call = asyncio.create_task(client.get(f"{url}/api/projects"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
                assert (await client.get(f"{url}/api/projects")).status_code == 200


async def test_cut_connections_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over real sockets: after a dropped and a truncated answer one lane serves whole ones."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    studio = Studio()
    studio.fault(Fault("drop", times=1))
    studio.fault(Fault("truncate", times=1, skip=1))
    with serve(studio) as url:
        transport = lanes_to(url)
        async with httpx.AsyncClient(transport=transport) as client:
            for _ in range(2):
                with pytest.raises(httpx.RemoteProtocolError):
                    await client.get(f"{url}/api/projects")
            assert (await client.get(f"{url}/api/projects")).status_code == 200
            assert transport is not None
            assert len(transport._lanes) == 1


async def test_lanes_go_through_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is asked for the whole address; what the environment excepts is reached directly."""
    studio = Studio()
    with serve(studio) as url:
        host = url.removesuffix("/v1").removeprefix("http://")
        monkeypatch.setenv("http_proxy", host)
        monkeypatch.setenv("no_proxy", "near.test")
        async with httpx.AsyncClient(transport=lanes_to("http://far.test/v1")) as client:
            asked = (await client.get("http://far.test/v1/api/projects")).request.url
        assert asked.host == "far.test"
        assert studio.calls.by_route["list-projects"] == 1
        assert lanes_to("http://near.test/v1") is not None


def test_a_socks_proxy_of_the_environment_is_left_to_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes know no SOCKS."""
    monkeypatch.setenv("all_proxy", "socks5://proxy.test:1080")
    monkeypatch.setenv("no_proxy", "near.test")
    assert lanes_to("https://far.test/v1") is None
    assert lanes_to("https://near.test/v1") is not None
