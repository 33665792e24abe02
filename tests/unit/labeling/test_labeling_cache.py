"""The blob cache spares downloads, stays small, and never costs a sample."""

from pathlib import Path

import pytest
from labelbus_labeling.cache import BlobCache, BlobKey

_KEY = BlobKey(7, 42, "abc", "image")


class Source:
    """Counts how often it is asked."""

    def __init__(self, blob: bytes = b"x" * 100) -> None:
        self.blob = blob
        self.asked = 0

    async def __call__(self) -> bytes:
        """Return the bytes."""
        self.asked += 1
        return self.blob


async def test_memory() -> None:
    """Bytes are fetched once."""
    cache, source = BlobCache(), Source()
    assert await cache.get(_KEY, source) == await cache.get(_KEY, source) == source.blob
    assert source.asked == 1


@pytest.mark.parametrize(
    "other",
    [
        BlobKey(8, 42, "abc", "image"),
        BlobKey(7, 43, "abc", "image"),
        BlobKey(7, 42, "new", "image"),
        BlobKey(7, 42, "abc", "wav-0"),
    ],
)
async def test_other_key(other: BlobKey) -> None:
    """Another project, sample, content or part is something else."""
    cache = BlobCache()
    await cache.get(_KEY, Source(b"one"))
    assert await cache.get(other, Source(b"two")) == b"two"


async def test_memory_is_bounded() -> None:
    """What was used longest ago leaves first."""
    cache, first = BlobCache(memory_bytes=250), Source()
    keys = [BlobKey(7, number, "abc", "image") for number in range(3)]
    await cache.get(keys[0], first)
    await cache.get(keys[1], Source())
    await cache.get(keys[0], first)
    await cache.get(keys[2], Source())
    again = Source()
    await cache.get(keys[0], first)
    await cache.get(keys[1], again)
    assert (first.asked, again.asked) == (1, 1)


async def test_folder_is_shared(tmp_path: Path) -> None:
    """What one process fetched, another one reads from the folder."""
    await BlobCache(folder=tmp_path / "cache").get(_KEY, Source())
    source = Source()
    assert await BlobCache(folder=tmp_path / "cache").get(_KEY, source) == source.blob
    assert source.asked == 0


async def test_folder_is_bounded(tmp_path: Path) -> None:
    """The folder stays below its limit, whoever filled it, and holds no half-written files."""
    for number in range(40):
        cache = BlobCache(memory_bytes=0, folder=tmp_path, folder_bytes=1000)
        await cache.get(BlobKey(7, number, "abc", "image"), Source())
    files = _files(tmp_path)
    assert sum(files.values()) <= 1000
    assert not [name for name in files if name.startswith(".")]


def _files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


async def test_broken_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that cannot be used is logged and costs a download."""
    (tmp_path / "file").write_text("in the way")
    source = Source()
    assert await BlobCache(folder=tmp_path / "file").get(_KEY, source) == source.blob
    assert "cannot be" in caplog.text


async def test_failed_fetch(tmp_path: Path) -> None:
    """A failed fetch is not kept."""

    async def fail() -> bytes:
        raise ConnectionError

    cache, source = BlobCache(folder=tmp_path), Source()
    with pytest.raises(ConnectionError):
        await cache.get(_KEY, fail)
    assert await cache.get(_KEY, source) == source.blob
