"""Serve the proxying Studio on loopback, in the loop of this process."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

_START_S: Final = 10.0


class Loopback:
    """An HTTP server on a free port of 127.0.0.1. `endpoint` is what a block is told."""

    def __init__(self, app: ASGIApp) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=60,
            timeout_graceful_shutdown=2,
        )
        self.endpoint = ""
        self._server = _Server(config)
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises `OSError`, `TimeoutError`."""
        # asyncio switches Nagle's algorithm off only where the protocol is named
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(128)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="proxying-studio")
        async with asyncio.timeout(_START_S):
            await self._server.ready.wait()
        self.endpoint = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    async def stop(self) -> None:
        """Close the connections and the port."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
        if self._socket is not None:
            self._socket.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process whose guest this is."""
        yield
