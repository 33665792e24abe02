"""Many connections to one host, each in a pool of its own.

httpcore's pool looks at all of its connections twice for every request. With dozens of connections that
takes longer than everything else that a call costs this process.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1)


class Lanes(httpx.AsyncBaseTransport):
    """Give every request the lane used last of those that are free, and a new one where none is.

    The caller bounds how many requests run at once, and so how many lanes there are.
    """

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._make = make
        self._lanes: list[httpx.AsyncBaseTransport] = []
        self._free: list[httpx.AsyncBaseTransport] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; its lane is free again when the response has been closed."""
        lane = self._free.pop() if self._free else self._new()
        try:
            response = await lane.handle_async_request(request)
        except BaseException:
            self._free.append(lane)
            raise
        response.stream = _Body(response.stream, lambda: self._free.append(lane))
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        lanes, self._lanes, self._free = self._lanes, [], []
        for lane in lanes:
            await lane.aclose()

    def _new(self) -> httpx.AsyncBaseTransport:
        lane = self._make()
        self._lanes.append(lane)
        return lane


class _Body(httpx.AsyncByteStream):
    """A response's body that says when it is closed, once."""

    def __init__(self, stream: object, closed: Callable[[], None]) -> None:
        assert isinstance(stream, httpx.AsyncByteStream)
        self._stream = stream
        self._closed: Callable[[], None] | None = closed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        closed, self._closed = self._closed, None
        try:
            await self._stream.aclose()
        finally:
            if closed is not None:
                closed()


def lanes_to(endpoint: str, context: ssl.SSLContext | None = None) -> Lanes | None:
    """Return lanes to an http(s) address; None where a proxy of the environment is between, httpx's own job.

    `context` is for https; without one the usual certificates are loaded once.
    """
    parts = urlsplit(endpoint)
    proxies = getproxies()
    if (parts.scheme in proxies or "all" in proxies) and not proxy_bypass(parts.hostname or ""):
        return None
    verify: ssl.SSLContext | bool = False
    if parts.scheme == "https":
        verify = context or httpx.create_ssl_context()
    return Lanes(lambda: httpx.AsyncHTTPTransport(verify=verify, limits=_ONE))
