"""The client of one project, and the clients of many."""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Final

import httpx
from pydantic import SecretStr

from labelbus_studio.action_calls import ActionCalls
from labelbus_studio.project_calls import ProjectCalls
from labelbus_studio.sample_calls import SampleCalls
from labelbus_studio.settings import StudioSettings
from labelbus_studio.write_calls import WriteCalls

_MOST: Final = 64
_IDLE_S: Final = 3600.0


class StudioClient(SampleCalls, WriteCalls, ProjectCalls, ActionCalls):
    """Speak to Studio with one project's key. Use as an async context manager, or call `aclose`."""


class StudioClients:
    """Keep one client for each key, so that its limits and connections are shared in this process.

    Keys of blocks die with them: where there are more than 64 clients, those that nobody has asked for in an
    hour are closed.
    """

    def __init__(
        self,
        settings: StudioSettings | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings or StudioSettings()
        self._transport = transport
        self._clock = clock
        self._clients: dict[str, tuple[float, StudioClient]] = {}
        """By key, with when it was asked for last; the last one asked for is the last."""
        self._closing: set[asyncio.Task[None]] = set()
        self._context: ssl.SSLContext | None = None

    def get(self, key: SecretStr) -> StudioClient:
        """Return the client of a key; do not close it. Call it from the event loop."""
        secret = key.get_secret_value()
        _, client = self._clients.pop(secret, (0.0, None))
        if client is None:
            client = StudioClient(
                key, settings=self._settings, transport=self._transport, ssl_context=self._shared_context()
            )
            self._close_idle()
        self._clients[secret] = (self._clock(), client)
        return client

    async def aclose(self) -> None:
        """Close all clients."""
        clients, self._clients = self._clients, {}
        for _, client in clients.values():
            await client.aclose()
        await asyncio.gather(*self._closing)

    def _close_idle(self) -> None:
        while len(self._clients) >= _MOST:
            secret, (asked_at, client) = next(iter(self._clients.items()))
            if self._clock() - asked_at < _IDLE_S:
                return
            del self._clients[secret]
            task = asyncio.get_running_loop().create_task(client.aclose(), name="close-studio-client")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _shared_context(self) -> ssl.SSLContext | None:
        """Load the certificates once; it takes longer than a call."""
        if self._context is None and self._settings.endpoint.startswith("https:"):
            self._context = httpx.create_ssl_context()
        return self._context
