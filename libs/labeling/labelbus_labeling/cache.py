"""The blob cache: bytes of samples, in memory and, where a folder is given, shared on disk."""

import asyncio
import hashlib
import logging
import os
import tempfile
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class BlobKey:
    """What some bytes are: `part` is `image` or `wav-<axis>`. The content hash makes them unchangeable."""

    project_id: int
    sample_id: int
    content_hash: str
    part: str

    def digest(self) -> str:
        """Return the name under which the bytes are kept."""
        text = f"{self.project_id}/{self.sample_id}/{self.content_hash}/{self.part}"
        return hashlib.sha256(text.encode()).hexdigest()


class BlobCache:
    """Keeps the bytes used last, up to `memory_bytes`, and below `folder` up to `folder_bytes`.

    Faults of the folder are logged and cost a download, never a sample.
    """

    def __init__(
        self,
        *,
        memory_bytes: int = 256 * _MIB,
        folder: Path | None = None,
        folder_bytes: int = 20 * 1024 * _MIB,
    ) -> None:
        self._memory = _Memory(memory_bytes)
        self._folder = None if folder is None else _Folder(folder, folder_bytes)

    async def get(self, key: BlobKey, fetch: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the bytes of a key, fetched where they are not kept. Raises what `fetch` raises."""
        name = key.digest()
        blob = self._memory.get(name)
        if blob is not None:
            return blob
        if self._folder is not None:
            blob = await asyncio.to_thread(self._folder.read, name)
        if blob is None:
            blob = await fetch()
            if self._folder is not None:
                await asyncio.to_thread(self._folder.write, name, blob)
        self._memory.put(name, blob)
        return blob


class _Memory:
    """Least recently used bytes leave first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._blobs: OrderedDict[str, bytes] = OrderedDict()

    def get(self, name: str) -> bytes | None:
        blob = self._blobs.get(name)
        if blob is not None:
            self._blobs.move_to_end(name)
        return blob

    def put(self, name: str, blob: bytes) -> None:
        self._size += len(blob) - len(self._blobs.pop(name, b""))
        self._blobs[name] = blob
        while self._size > self._limit:
            self._size -= len(self._blobs.popitem(last=False)[1])


class _Folder:
    """Files that appear whole or not at all, shared by processes; the oldest ones leave first."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._written = limit  # so that the first write looks at what earlier processes left

    def read(self, name: str) -> bytes | None:
        path = self._path(name)
        try:
            blob = path.read_bytes()
            os.utime(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("The cache %s cannot be read (%s).", self._folder, error.strerror)
            return None
        return blob

    def write(self, name: str, blob: bytes) -> None:
        path = self._path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._replace(path, blob)
            self._written += len(blob)
            if self._written * 20 >= self._limit:
                self._written = 0
                self._shrink()
        except OSError as error:
            log.warning("The cache %s cannot be written (%s).", self._folder, error.strerror)

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name

    def _replace(self, path: Path, blob: bytes) -> None:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(blob)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _shrink(self) -> None:
        """Delete the files used longest ago until a tenth of the limit is free."""
        files = sorted(
            (status.st_mtime, status.st_size, path)
            for path in self._folder.glob("??/*")
            if (status := _status(path)) is not None
        )
        size = sum(one[1] for one in files)
        for _, bytes_, path in files:
            if size <= self._limit * 0.9:
                return
            path.unlink(missing_ok=True)
            size -= bytes_


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:  # another process was faster
        return None
