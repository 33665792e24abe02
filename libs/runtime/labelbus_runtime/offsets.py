"""Which offsets may be committed when many records of a partition are handled at once. Knows no Kafka.

The watermark is the first offset that is not finished: everything below it is, so committing it loses
nothing. What is finished above it travels in the commit's metadata, so that a crash repeats only what ran.
"""

import base64
import binascii
import zlib
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

MAX_METADATA: Final = 4_000
"""Kafka takes 4096 characters per partition."""
_PREFIX: Final = "d1:"
Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True, eq=False)
class Partition:
    """One partition while it is ours. A later owner's state is another object, or this one, adopted.

    `epoch` grows with every adoption: a record fetched in an older epoch must not be added.
    """

    watermark: int | None = None
    skip: set[int] = field(default_factory=set)
    alive: bool = True
    epoch: int = 0
    dirty: bool = False
    _order: deque[int] = field(default_factory=deque)
    _known: set[int] = field(default_factory=set)
    _finished: set[int] = field(default_factory=set)

    def add(self, offset: int) -> bool:
        """Take a record in fetch order. False: do not run it, it is finished, runs, or is not ours."""
        if not self.alive:
            return False
        if self.watermark is None:
            self.watermark = offset
        if offset < self.watermark or offset in self._known:
            return False
        self._order.append(offset)
        self._known.add(offset)
        if offset in self.skip:
            self.skip.discard(offset)
            self.done(offset)
            return False
        return True

    def done(self, offset: int) -> None:
        """Finish a record; in any order."""
        self._finished.add(offset)
        self.dirty = True
        while self._order and self._order[0] in self._finished:
            passed = self._order.popleft()
            self._finished.discard(passed)
            self._known.discard(passed)
            self.watermark = passed + 1

    @property
    def span(self) -> int:
        """Return how many offsets lie between the watermark and the newest one taken."""
        if not self._order or self.watermark is None:
            return 0
        return self._order[-1] + 1 - self.watermark

    @property
    def finished_above(self) -> frozenset[int]:
        """Return what is finished above the watermark."""
        return frozenset(self._finished)


class OrderedOffsets(Generic[Key]):
    """The partitions of one consumer, by topic and number."""

    def __init__(self) -> None:
        self.partitions: dict[Key, Partition] = {}
        self._parked: dict[Key, Partition] = {}

    def assign(self, key: Key, *, committed: int | None, finished: Iterable[int] = ()) -> Partition:
        """Begin to own a partition. `committed` is the group's offset now, None where it is unknown.

        A partition that comes straight back is adopted: what still runs is neither started again nor
        forgotten. An offset past our watermark means that another member had its turn meanwhile.
        """
        self.revoke(key)
        old = self._parked.pop(key, None)
        if (
            old is not None
            and old.watermark is not None
            and committed is not None
            and committed <= old.watermark
        ):
            old.alive = True
            old.dirty = True
            self.partitions[key] = old
            return old
        at = committed if committed is not None and committed >= 0 else None
        self.partitions[key] = Partition(watermark=at, skip=set(finished))
        return self.partitions[key]

    def revoke(self, key: Key) -> None:
        """Stop to own a partition; it is parked in case it comes straight back."""
        if (partition := self.partitions.pop(key, None)) is not None:
            partition.alive = False
            partition.epoch += 1
            self._parked[key] = partition

    def committable(self) -> dict[Key, tuple[int, str]]:
        """Return watermark and metadata of what changed since the last call."""
        offsets = {}
        for key, partition in self.partitions.items():
            if partition.dirty and partition.watermark is not None:
                partition.dirty = False
                offsets[key] = (partition.watermark, encode(partition.watermark, partition.finished_above))
        return offsets

    def failed(self, keys: Iterable[Key]) -> None:
        """Offer the same partitions again: a commit did not go through."""
        for key in keys:
            if (partition := self.partitions.get(key)) is not None:
                partition.dirty = True


def encode(watermark: int, finished: Iterable[int]) -> str:
    """Return finished offsets as commit metadata; where they are too many, the lower ones, which is safe."""
    rest = sorted(finished)
    while rest:
        bits = bytearray((rest[-1] - watermark) // 8 + 1)
        for offset in rest:
            index = offset - watermark
            bits[index >> 3] |= 1 << (index & 7)
        text = _PREFIX + base64.b85encode(zlib.compress(bytes(bits), 6)).decode()
        if len(text) <= MAX_METADATA:
            return text
        rest = rest[: len(rest) // 2]
    return ""


def decode(watermark: int, metadata: str) -> set[int]:
    """Return the finished offsets of commit metadata; none where it is not ours."""
    if not metadata.startswith(_PREFIX):
        return set()
    try:
        bits = zlib.decompress(base64.b85decode(metadata[len(_PREFIX) :]))
    except (ValueError, binascii.Error, zlib.error):
        return set()
    return {
        watermark + 8 * byte + bit for byte, value in enumerate(bits) for bit in range(8) if value >> bit & 1
    }
