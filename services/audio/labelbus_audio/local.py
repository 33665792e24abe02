"""AST in this process: features on a few threads, the model on one, batches over all clips."""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from labelbus_runtime.batching import Batcher
from labelbus_runtime.errors import RetryLater
from numpy.typing import NDArray

from labelbus_audio.clips import Clip
from labelbus_audio.ears import Answer, Heard, Query
from labelbus_audio.features import RATE, features_of
from labelbus_audio.loading import download_notice, load_engine
from labelbus_audio.settings import AudioSettings
from labelbus_audio.windows import Window

if TYPE_CHECKING:
    from labelbus_audio.engine import AstEngine

Result = TypeVar("Result")
logger = logging.getLogger(__name__)
_CHUNK = 8
"""Windows whose features are computed together: half a MiB each."""


@dataclass(frozen=True, slots=True)
class _Seen:
    features: NDArray[np.float32]
    top: int


class LocalEars:
    """Implements `Ears` on this machine's GPU or CPU. Clips are taken in the order in which they come."""

    is_elsewhere = False

    def __init__(self, settings: AudioSettings) -> None:
        self._settings = settings
        self._engine: AstEngine | None = None
        self._feature_threads = ThreadPoolExecutor(2, "features")
        self._model_thread = ThreadPoolExecutor(1, "ast")

    @property
    def model(self) -> str:
        """Name the model."""
        return self._settings.model

    @property
    def place(self) -> str:
        """Say which model listens, on what."""
        return f"{self.model} on this machine ({self._loaded().device})"

    async def open(self) -> None:
        """Load the model. Raises `EngineUnavailable`."""
        settings = self._settings
        notice = await asyncio.to_thread(download_notice, settings.model)
        if notice:
            logger.warning(notice)
        self._engine = await self._on(
            self._model_thread,
            lambda: load_engine(settings.model, device=settings.device, dtype=settings.dtype),
        )
        size = settings.max_batch or self._engine.batch_size
        self._batches: Batcher[_Seen, Answer] = Batcher(
            self._flush, max_size=size, max_wait_s=0.003 if size > 1 else 0
        )
        self._room = asyncio.Semaphore(max(2, 2 * size // _CHUNK))

    async def hear(self, query: Query) -> list[Answer | Exception]:
        """Answer every window. The clip is resampled once, whatever its rate."""
        clip = query.clip
        if clip.rate != RATE:
            clip = await self._on(self._feature_threads, lambda: resampled(query.clip))
        ratio = RATE / query.clip.rate
        windows = [Window(round(one.start * ratio), round(one.end * ratio)) for one in query.windows]
        length = math.ceil(query.length * ratio)
        chunks = [windows[at : at + _CHUNK] for at in range(0, len(windows), _CHUNK)]
        answers = await asyncio.gather(*(self._chunk(clip, chunk, length, query.top) for chunk in chunks))
        return [one for chunk in answers for one in chunk]

    async def close(self) -> None:
        """Answer what waits, then free the model."""
        if self._engine is not None:
            await self._batches.close()
        self._feature_threads.shutdown(wait=False, cancel_futures=True)
        self._model_thread.shutdown(wait=False, cancel_futures=True)
        self._engine = None

    async def _chunk(self, clip: Clip, windows: Sequence[Window], length: int, top: int) -> list[Answer]:
        shape = self._loaded().shape
        async with self._room:
            features = await self._on(
                self._feature_threads,
                lambda: features_of(
                    [clip.cut(window, at_least=length)[:length] for window in windows], shape
                ),
            )
            return await asyncio.gather(*(self._batches(_Seen(one, top)) for one in features))

    async def _flush(self, batch: Sequence[_Seen]) -> Sequence[Answer | Exception]:
        import torch

        engine, top = self._loaded(), max(one.top for one in batch)
        features = np.stack([one.features for one in batch])
        try:
            rows = await self._on(self._model_thread, lambda: engine.hear(features, top))
        except torch.OutOfMemoryError as error:
            if len(batch) > 1:
                raise  # the batcher tries them one by one
            fact = "The GPU is out of memory for one window. Lower what else runs on it."
            raise RetryLater(fact, code="out-of-memory", after_s=30) from error
        return [
            tuple(Heard(label, score) for label, score in row[: one.top])
            for row, one in zip(rows, batch, strict=True)
        ]

    def _loaded(self) -> "AstEngine":
        if self._engine is None:
            raise RuntimeError("the engine is not open")
        return self._engine

    async def _on(self, threads: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(threads, work)


def resampled(clip: Clip) -> Clip:
    """Return a clip at 16 kHz."""
    import soxr

    return Clip(np.asarray(soxr.resample(clip.values, clip.rate, RATE), dtype=np.float32), RATE)
