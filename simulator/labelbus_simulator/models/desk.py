"""What the stand-ins share: the calls they got, and answers that go wrong on request."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from labelbus_simulator.documents import Doc
from labelbus_simulator.server import serve_app


@dataclass(frozen=True, slots=True)
class Mishap:
    """An answer instead of the true one."""

    status: int
    body: Doc = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    latency_s: float = 0.0


@dataclass(slots=True)
class Desk:
    """State of one stand-in; `mishaps` come first, then what `twist` makes of a request's JSON body.

    `key` is the Bearer token, or Azure's `api-key`, that it wants; None wants none.
    """

    key: str | None = None
    mishaps: deque[Mishap] = field(default_factory=deque)
    twist: Callable[[Doc], Mishap | None] | None = None
    latency_s: float = 0.0
    requests: list[Doc] = field(default_factory=list)
    """JSON bodies that came, or `{"bytes": n}`."""
    in_flight: int = 0
    most_in_flight: int = 0

    async def receive(self, request: Request, summary: Doc) -> Response | None:
        """Record a request; returns the refusal or mishap to answer with, or None to go on."""
        self.requests.append(summary)
        if self.key is not None and not self._is_known(request):
            return JSONResponse({"error": {"message": "Incorrect API key provided"}}, 401)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            mishap = self._mishap(summary)
            await asyncio.sleep(mishap.latency_s if mishap else self.latency_s)
        finally:
            self.in_flight -= 1
        return JSONResponse(mishap.body, mishap.status, mishap.headers) if mishap else None

    def _mishap(self, body: Doc) -> Mishap | None:
        if self.mishaps:
            return self.mishaps.popleft()
        return None if self.twist is None else self.twist(body)

    def _is_known(self, request: Request) -> bool:
        headers = request.headers
        return headers.get("authorization") == f"Bearer {self.key}" or headers.get("api-key") == self.key


@contextmanager
def serve_model(app: Starlette, *, port: int = 0) -> Iterator[str]:
    """Serve a stand-in on loopback; yields its base URL without a trailing slash."""
    with serve_app(app, port=port) as url:
        yield url
