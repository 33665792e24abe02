"""The detector in this process: decoding on a few threads, the model on one, batches over all callers."""

import asyncio
import logging
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from labelbus_labeling.images import Frame
from labelbus_runtime.batching import Batcher
from labelbus_runtime.errors import RetryLater

from labelbus_detector.detections import Detected, Detection, Query
from labelbus_detector.images import decode
from labelbus_detector.loading import gpu_name, is_installed, load_engine
from labelbus_detector.models import download_notice
from labelbus_detector.settings import DetectorSettings

if TYPE_CHECKING:
    from torch import Tensor

    from labelbus_detector.engine import Ask, OwlEngine

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Ready:
    pixels: "Tensor"
    ask: "Ask"


class LocalDetector:
    """Implements `Detector` on this machine's GPU or CPU.

    Decoded pictures wait for the model in bounded number: two batches and what is being decoded.
    """

    def __init__(self, settings: DetectorSettings) -> None:
        self._settings = settings
        self._engine: OwlEngine | None = None
        self._decoders = ThreadPoolExecutor(settings.decode_threads, "decode")
        self._model_thread = ThreadPoolExecutor(1, "model")

    @property
    def model(self) -> str:
        """Name the model."""
        return self._settings.model

    async def open(self) -> None:
        """Load the model. Raises `ModelUnavailable`."""
        settings = self._settings
        notice = await asyncio.to_thread(lambda: download_notice(settings.model, gpu=gpu_name()))
        if notice and is_installed():
            logger.warning(notice)
        self._engine = await self._on_model_thread(
            lambda: load_engine(
                settings.model, device=settings.device, dtype=settings.dtype, pad_value=settings.pad_value
            )
        )
        size = settings.max_batch or self._engine.batch_size
        self._batches: Batcher[_Ready, tuple[Detection, ...]] = Batcher(
            self._flush, max_size=size, max_wait_s=0.003 if size > 1 else 0
        )
        self._room = asyncio.Semaphore(2 * size + settings.decode_threads)

    async def detect(self, query: Query) -> Detected:
        """Answer one query. Raises `SampleRefused`, `RetryLater`."""
        engine = self._loaded()
        async with self._room:
            ready, frame = await asyncio.get_running_loop().run_in_executor(
                self._decoders, self._prepare, query
            )
            found = await self._batches(ready)
        return Detected(found, frame, engine.notes(query.phrases))

    async def close(self) -> None:
        """Answer what waits, then free the model."""
        if self._engine is not None:
            await self._batches.close()
        self._decoders.shutdown(wait=False, cancel_futures=True)
        self._model_thread.shutdown(wait=False, cancel_futures=True)
        self._engine = None

    def _loaded(self) -> "OwlEngine":
        if self._engine is None:
            raise RuntimeError("the detector is not open")
        return self._engine

    def _prepare(self, query: Query) -> tuple[_Ready, Frame]:
        import torch

        from labelbus_detector.engine import DEFAULT_THRESHOLD, Ask

        try:
            picture = decode(query.image, max_pixels=self._settings.max_pixels)
            pixels = self._loaded().prepare(picture.rgb)
        except (MemoryError, torch.OutOfMemoryError) as error:
            fact = "The detector is out of memory for decoding."
            raise RetryLater(fact, code="out-of-memory", after_s=30) from error
        threshold = DEFAULT_THRESHOLD if query.threshold is None else query.threshold
        return _Ready(pixels, Ask(query.phrases, picture.frame, threshold)), picture.frame

    async def _flush(self, batch: Sequence[_Ready]) -> Sequence[tuple[Detection, ...] | Exception]:
        import torch

        engine = self._loaded()
        try:
            return await self._on_model_thread(
                lambda: engine.detect([one.pixels for one in batch], [one.ask for one in batch])
            )
        except torch.OutOfMemoryError as error:
            traceback.clear_frames(error.__traceback__)  # they hold what the batch had on the GPU
            if len(batch) > 1:
                raise  # the batcher tries them one by one
            fact = "The GPU is out of memory for one image. Lower what else runs on it."
            raise RetryLater(fact, code="out-of-memory", after_s=30) from error

    async def _on_model_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._model_thread, work)
