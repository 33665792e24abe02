"""Serving an ASGI application on loopback, in a thread of its own."""

import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from labelbus_simulator.studio import Studio
from labelbus_simulator.web import StudioApp

_START_TIMEOUT_S = 10.0


@contextmanager
def serve(studio: Studio, *, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve a Studio; yields its endpoint, which ends with /v1. Port 0 takes a free one."""
    with serve_app(StudioApp(studio), port=port, host=host) as url:
        yield f"{url}/v1"


@contextmanager
def serve_app(app: Any, *, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve any ASGI application; yields its base URL without a trailing slash."""
    listener = _listen(host, port)
    server = _Server(config(app))
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="simulator", daemon=True
    )
    thread.start()
    try:
        if not server.ready.wait(_START_TIMEOUT_S):
            raise TimeoutError(f"The simulator did not start within {_START_TIMEOUT_S:g} s.")
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(_START_TIMEOUT_S)
        listener.close()


def wait_for_interrupt() -> None:
    """Wait until Ctrl-C, and leave the terminal on a new line."""
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        sys.stderr.write("\n")


def _listen(host: str, port: int) -> socket.socket:
    # asyncio switches Nagle's algorithm off only where the protocol is named, and 40 ms a call is a lot
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(2048)
    return listener


def config(app: Any) -> uvicorn.Config:
    """uvicorn without its access log; faster loops and parsers are used where they are installed."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    return uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_keep_alive=60)


class _Server(uvicorn.Server):
    def __init__(self, settings: uvicorn.Config) -> None:
        super().__init__(settings)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()
