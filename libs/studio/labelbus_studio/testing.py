"""A Studio made of one function, and clients of it whose waits are over at once."""

import json
from collections.abc import Callable

import httpx
from pydantic import SecretStr

from labelbus_studio.client import StudioClient
from labelbus_studio.settings import StudioSettings

TEST_KEY = "ei_secret_0123456789abcdef"


class ScriptedStudio:
    """Answer by the queued replies while there are some, then by `answer`; keep the requests and waits."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.waits: list[float] = []
        self.now = 0.0
        self.answer: Callable[[httpx.Request], httpx.Response] = lambda request: httpx.Response(
            200, json={"success": True}
        )
        self._replies: list[httpx.Response | Exception] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request)
        reply = self._replies.pop(0) if self._replies else self.answer(request)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def queue(self, *replies: httpx.Response | Exception) -> None:
        """Answer the next requests so."""
        self._replies.extend(replies)

    def client(self, key: str = TEST_KEY, **settings: object) -> StudioClient:
        """Return a client with settings by name, on this Studio's clock."""
        return StudioClient(
            SecretStr(key),
            settings=StudioSettings.model_validate({"endpoint": "http://studio.test/v1"} | settings),
            transport=httpx.MockTransport(self),
            clock=lambda: self.now,
            sleep=self._sleep,
        )

    @property
    def bodies(self) -> list[object]:
        """Return the JSON bodies, None for requests without one."""
        return [json.loads(request.content) if request.content else None for request in self.requests]

    @property
    def paths(self) -> list[str]:
        """Return method and path of each request."""
        return [f"{request.method} {request.url.path}" for request in self.requests]

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
