"""Many connections to one host, each in a pool of its own.

httpcore's pool looks at all of its connections twice for every request. With dozens of connections that
takes longer than everything else that a call costs this process.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1)


class Lanes(httpx.AsyncBaseTransport):
    """Give every request the lane used last of those that are free, and a new one where none is.

    A lane is free again once a response has been read to its end. Any other end closes it: httpcore may never
    answer again on a connection whose request was cancelled. The caller bounds how many requests run at
    once, and so how many lanes there are.
    """

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._make = make
        self._lanes: set[httpx.AsyncBaseTransport] = set()
        self._free: list[httpx.AsyncBaseTransport] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        lane = self._free.pop() if self._free else self._new()
        try:
            response = await lane.handle_async_request(request)
        except BaseException:
            await self._back(lane, fit=False)
            raise
        response.stream = _Body(response.stream, partial(self._back, lane))
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        lanes, self._lanes, self._free = self._lanes, set(), []
        for lane in lanes:
            await lane.aclose()

    def _new(self) -> httpx.AsyncBaseTransport:
        lane = self._make()
        self._lanes.add(lane)
        return lane

    async def _back(self, lane: httpx.AsyncBaseTransport, *, fit: bool) -> None:
        if fit and lane in self._lanes:
            self._free.append(lane)
            return
        self._lanes.discard(lane)
        await lane.aclose()


class _Body(httpx.AsyncByteStream):
    """A response's body that says once, when it is closed, whether it was read to its end."""

    def __init__(self, stream: object, closed: Callable[..., Awaitable[None]]) -> None:
        assert isinstance(stream, httpx.AsyncByteStream)
        self._stream = stream
        self._closed: Callable[..., Awaitable[None]] | None = closed
        self._whole = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part
        self._whole = True

    async def aclose(self) -> None:
        closed, self._closed = self._closed, None
        fit = False
        try:
            await self._stream.aclose()
            fit = self._whole
        finally:
            if closed is not None:
                await closed(fit=fit)


def lanes_to(endpoint: str, context: ssl.SSLContext | None = None) -> Lanes | None:
    """Return lanes to an http(s) address, through a proxy of the environment; None behind SOCKS: httpx's job.

    `context` is for https; without one the usual certificates are loaded once.
    """
    parts = urlsplit(endpoint)
    proxy = None if proxy_bypass(parts.hostname or "") else _proxy_for(parts.scheme)
    if proxy is not None and not proxy.startswith(("http://", "https://")):
        return None
    verify: ssl.SSLContext | bool = False
    if parts.scheme == "https":
        verify = context or httpx.create_ssl_context()
    return Lanes(lambda: httpx.AsyncHTTPTransport(verify=verify, limits=_ONE, proxy=proxy))


def _proxy_for(scheme: str) -> str | None:
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"
