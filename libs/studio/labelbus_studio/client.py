"""The client of one project, and the clients of many."""

import ssl

import httpx
from pydantic import SecretStr

from labelbus_studio.action_calls import ActionCalls
from labelbus_studio.project_calls import ProjectCalls
from labelbus_studio.sample_calls import SampleCalls
from labelbus_studio.settings import StudioSettings
from labelbus_studio.write_calls import WriteCalls


class StudioClient(SampleCalls, WriteCalls, ProjectCalls, ActionCalls):
    """Speak to Studio with one project's key. Use as an async context manager, or call `aclose`."""


class StudioClients:
    """Keep one client for each key, so that its limits and connections are shared in this process."""

    def __init__(
        self,
        settings: StudioSettings | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings or StudioSettings()
        self._transport = transport
        self._clients: dict[str, StudioClient] = {}
        self._context: ssl.SSLContext | None = None

    def get(self, key: SecretStr) -> StudioClient:
        """Return the client of a key; do not close it."""
        secret = key.get_secret_value()
        if secret not in self._clients:
            self._clients[secret] = StudioClient(
                key, settings=self._settings, transport=self._transport, ssl_context=self._shared_context()
            )
        return self._clients[secret]

    async def aclose(self) -> None:
        """Close all clients."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    def _shared_context(self) -> ssl.SSLContext | None:
        """Load the certificates once; it takes longer than a call."""
        if self._context is None and self._settings.endpoint.startswith("https:"):
            self._context = httpx.create_ssl_context()
        return self._context
