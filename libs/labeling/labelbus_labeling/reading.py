"""Reading samples: the base of one that nobody has read yet, and its bytes when a labeler asks."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from labelbus_contracts.labels import Base
from labelbus_contracts.v1.commands import LabelSample
from labelbus_ledger.access import StudioAccess, as_runtime_error
from labelbus_runtime.errors import RetryLater, SampleRefused
from labelbus_studio.client import StudioClient
from labelbus_studio.errors import StudioError

from labelbus_labeling.cache import BlobCache, BlobKey

PROCESSING_RETRY_S: Final = 30.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class SampleReader:
    """Reads what a `LabelSample` is about. Faults of Studio come out as the runtime's."""

    access: StudioAccess
    cache: BlobCache
    now: Callable[[], datetime] = _utc_now

    async def base(self, command: LabelSample) -> Base:
        """Read the labels and facts of a sample, with earlier proposals in a preview of Studio's.

        Raises `RetryLater`, with code `processing` while Studio prepares the sample, and `SampleRefused`.
        """
        client = await self.access.client(command.project_id, command.secret)
        read_at = self.now()  # before the read: a change meanwhile is then a difference
        try:
            sample = await client.read_sample(
                command.project_id, command.sample_id, proposed_actions_job_id=command.studio_job_id
            )
        except StudioError as error:
            raise _ours(error, command) from error
        if sample.is_processing:
            raise RetryLater(
                f"Studio has not finished processing sample {command.sample_id}.",
                after_s=PROCESSING_RETRY_S,
                code="processing",
            )
        if sample.processing_error is not None:
            raise SampleRefused(
                f"Studio could not process sample {command.sample_id}: {sample.processing_error}. "
                "Upload it again.",
                code="processing_failed",
            )
        return sample.base(read_at)

    def media(self, command: LabelSample, base: Base) -> "StudioMedia":
        """Return the bytes of a sample, not fetched yet."""
        return StudioMedia(self.access, self.cache, command, base)


@dataclass(frozen=True, slots=True)
class StudioMedia:
    """Implements `Media`."""

    access: StudioAccess
    cache: BlobCache
    command: LabelSample
    base: Base

    async def image(self) -> bytes:
        """Return the encoded image. Raises `RetryLater`, `SampleRefused`."""
        ids = (self.command.project_id, self.command.sample_id)
        return await self._get("image", lambda client: client.image(*ids))

    async def wav(self, axis: int = 0) -> bytes:
        """Return one axis of a time series as WAV. Raises `RetryLater`, `SampleRefused`."""
        ids = (self.command.project_id, self.command.sample_id)
        return await self._get(f"wav-{axis}", lambda client: client.wav(*ids, axis))

    async def _get(self, part: str, call: Callable[[StudioClient], Awaitable[bytes]]) -> bytes:
        async def fetch() -> bytes:
            client = await self.access.client(self.command.project_id, self.command.secret)
            try:
                return await call(client)
            except StudioError as error:
                raise _ours(error, self.command) from error

        content_hash = self.base.sample.content_hash
        if content_hash is None:  # nothing tells whether bytes kept would still be right
            return await fetch()
        key = BlobKey(self.command.project_id, self.command.sample_id, content_hash, part)
        return await self.cache.get(key, fetch)


def _ours(error: StudioError, command: LabelSample) -> RetryLater | SampleRefused:
    return as_runtime_error(error, project_id=command.project_id, sample_id=command.sample_id)
