"""Lanes: one connection each, used again, given back whatever happens."""

import asyncio

import httpx
import pytest
from labelbus_simulator import Fault, Studio, serve
from labelbus_studio.lanes import Lanes, lanes_to


class Counted:
    """Makes transports that answer when they may, or fail; counts them."""

    def __init__(self) -> None:
        self.made = 0
        self.go = asyncio.Event()
        self.fails = False

    def __call__(self) -> httpx.AsyncBaseTransport:
        """Make one."""
        self.made += 1
        return httpx.MockTransport(self._answer)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        await self.go.wait()
        if self.fails:
            raise httpx.ConnectError("no", request=request)
        return httpx.Response(200, stream=httpx.ByteStream(b"whole"))


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


async def test_a_lane_comes_back_after_an_error() -> None:
    """Failing requests, one after another, share one lane."""
    lanes = Counted()
    lanes.fails = True
    lanes.go.set()
    async with httpx.AsyncClient(transport=Lanes(lanes)) as client:
        for _ in range(3):
            with pytest.raises(httpx.ConnectError):
                await client.get("http://s.test")
    assert lanes.made == 1


async def test_a_lane_comes_back_after_a_cancelled_request() -> None:
    """A request that was cancelled while it waited leaves its lane to the next."""
    lanes = Counted()
    async with httpx.AsyncClient(transport=Lanes(lanes)) as client:
        waiting = asyncio.create_task(client.get("http://s.test"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        lanes.go.set()
        await client.get("http://s.test")
    assert lanes.made == 1


async def test_a_lane_lives_through_a_cut_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over real sockets: after a dropped and a truncated answer the same lane serves whole ones."""
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


def test_a_proxy_of_the_environment_is_left_to_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes know no proxies; an address that the environment excepts from them gets lanes."""
    monkeypatch.setenv("http_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("no_proxy", "near.test")
    assert lanes_to("http://far.test/v1") is None
    assert lanes_to("http://near.test/v1") is not None
