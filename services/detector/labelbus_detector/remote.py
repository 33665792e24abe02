"""The detector elsewhere: the HTTP format of the official block's endpoint, which `serve` speaks too.

POST {"base64_image", "labels"} with a bearer key; {"predictions": [{"label", "score", "box": {"xmin", ...}}]}
comes back, in pixels of the upright image. "threshold" is sent only where one was asked for: the official
endpoint has its own.
"""

import asyncio
import base64
import time
from collections.abc import Callable, Sequence
from typing import Final

import httpx
from labelbus_runtime.errors import RetryLater, SampleRefused, SettingsError
from labelbus_studio.lanes import lanes_to
from labelbus_studio.reaching import cause_of
from pydantic import BaseModel, ConfigDict, ValidationError

from labelbus_detector.detections import Detected, Detection, Query
from labelbus_detector.images import frame_of
from labelbus_detector.settings import DetectorSettings

_CONNECT_TIMEOUT_S: Final = 10.0
_WARM_S: Final = 240.0
"""How long after an answer the GPU counts as warm; the official endpoint keeps it for 300 s."""
_SHOWN: Final = 200
"""Characters of a strange answer that its error repeats."""


class _Box(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)
    xmin: float
    ymin: float
    xmax: float
    ymax: float


class _Prediction(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)
    label: str
    score: float
    box: _Box


class _Answer(BaseModel):
    predictions: list[_Prediction]


class RemoteDetector:
    """Implements `Detector` over HTTP.

    The first answer, and one after minutes of quiet, may take long: a cold GPU starts.
    """

    def __init__(
        self,
        settings: DetectorSettings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the endpoint and the key. Raises `SettingsError`."""
        if not settings.beam_endpoint or settings.beam_access_key is None:
            raise SettingsError(
                "A remote detector needs its address and its key. Set both BEAM_ENDPOINT and BEAM_ACCESS_KEY."
            )
        if not settings.beam_endpoint.startswith(("http://", "https://")):
            raise SettingsError("BEAM_ENDPOINT is no address. It begins with https:// or http://.")
        self._settings = settings
        self._endpoint = settings.beam_endpoint
        self._key = settings.beam_access_key
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._clock = clock
        self._answered_at: float | None = None
        self._slots = asyncio.Semaphore(settings.remote_concurrency)

    @property
    def model(self) -> str:
        """Name the endpoint's host: which model runs there is not told."""
        return f"remote:{httpx.URL(self._endpoint).host}"

    async def open(self) -> None:
        """Make the connection pool; nothing is called yet."""
        limits = httpx.Limits(max_connections=self._settings.remote_concurrency)
        transport = self._transport or lanes_to(self._endpoint)
        self._client = httpx.AsyncClient(limits=limits, transport=transport)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def detect(self, query: Query) -> Detected:
        """Answer one query. Raises `SampleRefused`, `RetryLater`."""
        frame = await asyncio.to_thread(frame_of, query.image, max_pixels=self._settings.max_pixels)
        async with self._slots:
            response = await self._post(query)
        _check(response)
        answer = _read(response)
        self._answered_at = self._clock()
        return Detected(_detections(answer.predictions), frame)

    def _is_warm(self) -> bool:
        return self._answered_at is not None and self._clock() - self._answered_at < _WARM_S

    async def _post(self, query: Query) -> httpx.Response:
        if self._client is None:
            raise RuntimeError("the detector is not open")
        settings = self._settings
        patience_s = settings.remote_timeout_s if self._is_warm() else settings.remote_first_timeout_s
        body: dict[str, object] = {
            "base64_image": base64.b64encode(query.image).decode(),
            "labels": list(query.phrases),
        }
        if query.threshold is not None:
            body["threshold"] = query.threshold
        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}"}
        timeout = httpx.Timeout(patience_s, connect=_CONNECT_TIMEOUT_S, pool=None)
        try:
            async with asyncio.timeout(patience_s + _CONNECT_TIMEOUT_S):
                return await self._client.post(self._endpoint, json=body, headers=headers, timeout=timeout)
        except (httpx.TimeoutException, TimeoutError) as error:
            fact = f"The detection endpoint did not answer within {patience_s:g} s."
            raise RetryLater(fact, code="endpoint-timeout") from error
        except httpx.TransportError as error:
            why = cause_of(error, "BEAM_ENDPOINT") or f"{type(error).__name__}. Check BEAM_ENDPOINT."
            fact = f"The detection endpoint cannot be reached: {why}"
            raise RetryLater(fact, code="endpoint-unreachable") from error
        except httpx.InvalidURL as error:
            fact = "BEAM_ENDPOINT is no valid address. Correct it and resume the job."
            raise RetryLater(fact, scope="job", code="endpoint-wrong") from error


def _check(response: httpx.Response) -> None:
    """Map an HTTP status to what the runtime does about it."""
    status = response.status_code
    if status == 200:
        return
    if status in {401, 403}:
        fact = f"The detection endpoint refused its key (HTTP {status}). Correct BEAM_ACCESS_KEY."
        raise RetryLater(f"{fact} Then resume the job.", scope="job", code="endpoint-key-refused")
    if status in {408, 425, 429} or status >= 500:
        fact = f"The detection endpoint is busy or failing (HTTP {status}): {_shown(response)}"
        raise RetryLater(fact, after_s=_retry_after(response), code="endpoint-busy")
    if status in {400, 413, 415, 422}:
        fact = f"The detection endpoint refused the image (HTTP {status}): {_shown(response)}"
        raise SampleRefused(fact, code="endpoint-refused")
    fact = f"The detection endpoint is not where BEAM_ENDPOINT says (HTTP {status}). Correct it."
    raise RetryLater(f"{fact} Then resume the job.", scope="job", code="endpoint-wrong")


def _read(response: httpx.Response) -> _Answer:
    try:
        return _Answer.model_validate_json(response.content)
    except ValidationError as error:
        fact = f"The detection endpoint's answer has no readable 'predictions': {_shown(response)}"
        remedy = "Check that BEAM_ENDPOINT is an OWL-ViT detector."
        raise RetryLater(f"{fact} {remedy}", code="endpoint-answer") from error


def _detections(predictions: Sequence[_Prediction]) -> tuple[Detection, ...]:
    return tuple(
        Detection(one.label, one.score, *(int(edge) for edge in _edges(one.box))) for one in predictions
    )


def _edges(box: _Box) -> tuple[float, float, float, float]:
    return (box.xmin, box.ymin, box.xmax, box.ymax)


def _shown(response: httpx.Response) -> str:
    text = " ".join(response.text.split())
    return f"'{text[:_SHOWN]}'" if text else "an empty answer."


def _retry_after(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None
