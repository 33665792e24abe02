"""One run of a block's command: started without a shell, killed with its children when it takes too long."""

import asyncio
import os
import signal
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_KEPT_BYTES: Final = 64 * 1024
_GRACE_S: Final = 5.0
_PIPE_S: Final = 1.0
_GUARD: Final = 'read -r _ || { kill -s TERM -- "-$1"; sleep 5; kill -s KILL -- "-$1"; }'
"""Waits for a line, and ends a process group where there is none because whoever should write it is gone."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended. `code` is negative for a signal, None where it was killed for its time."""

    code: int | None
    output: str


async def run(
    line: Sequence[str], *, environ: Mapping[str, str], folder: Path | None, timeout_s: float
) -> Ended:
    """Run a command to its end, or kill its process group. Raises `OSError` where it cannot be started."""
    output = _Output()
    read, write = os.pipe()
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: output, os.fdopen(read, "rb", buffering=0)
        )
    except BaseException:
        os.close(write)
        raise
    try:
        process = await _started(line, write, environ, folder)
        async with _guarded(process.pid, environ):
            code = await _ended(process, timeout_s)
        await output.ended(_PIPE_S)
        if not output.is_ended:  # a child that outlives the block holds on to the pipe
            _signal_group(process.pid, signal.SIGKILL)
            await output.ended(_PIPE_S)
    finally:
        transport.close()
    return Ended(code, output.text())


async def _started(
    line: Sequence[str], output: int, environ: Mapping[str, str], folder: Path | None
) -> asyncio.subprocess.Process:
    """Start in a process group of its own, which can be killed whole."""
    try:
        return await asyncio.create_subprocess_exec(
            *line,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environ),
            cwd=folder,
            start_new_session=True,
        )
    finally:
        os.close(output)


@asynccontextmanager
async def _guarded(group: int, environ: Mapping[str, str]) -> AsyncIterator[None]:
    """Have a process group ended should this process be killed meanwhile.

    The guard is given no more than the block: it is a neighbour whose environment the block can read.
    """
    try:
        guard = await asyncio.create_subprocess_exec(
            "/bin/sh",
            *("-c", _GUARD, "guard", str(group)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": environ.get("PATH", os.defpath)},
            start_new_session=True,
        )
    except BaseException:
        _signal_group(group, signal.SIGKILL)
        raise
    try:
        yield
    finally:
        await asyncio.shield(guard.communicate(b"\n"))


async def _ended(process: asyncio.subprocess.Process, timeout_s: float) -> int | None:
    """Wait for the end; ask for it after `timeout_s`, and force it a little later."""
    try:
        async with asyncio.timeout(timeout_s):
            return await process.wait()
    except TimeoutError:
        _signal_group(process.pid, signal.SIGTERM)  # `docker run` hands this on to its container
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                await process.wait()
        _signal_group(process.pid, signal.SIGKILL)  # and whoever of the group ignores that
        return None
    finally:
        if process.returncode is None:
            _signal_group(process.pid, signal.SIGKILL)
            await asyncio.shield(process.wait())


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class _Output(asyncio.Protocol):
    """The last of what a run prints, however much that is."""

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._closed = asyncio.Event()

    @property
    def is_ended(self) -> bool:
        """Tell whether nobody writes any more."""
        return self._closed.is_set()

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        while self._size - len(self._parts[0]) >= _KEPT_BYTES:
            self._size -= len(self._parts.popleft())

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()

    async def ended(self, within_s: float) -> None:
        """Wait until nobody writes any more, for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._closed.wait()

    def text(self) -> str:
        """Return what was kept."""
        return b"".join(self._parts).decode(errors="replace")
