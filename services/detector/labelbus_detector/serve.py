"""A detector for others: the official block's HTTP format, with batches over all clients.

`POST /` {"base64_image", "labels", "threshold"?} with the bearer token LABELBUS_SERVE_TOKEN; `GET /health`;
`GET /metrics` for Prometheus. Errors are {"error", "code"}: 400 for a request or an image that can never
succeed, 401, 408 for a body that takes too long, 413, and 503 with Retry-After when too much waits.
"""

import asyncio
import base64
import binascii
import hmac
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Final

from labelbus_runtime.errors import RetryLater, SampleRefused, SettingsError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, Field, StringConstraints, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from labelbus_detector.detections import Detection, Detector, Query
from labelbus_detector.local import LocalDetector
from labelbus_detector.settings import DetectorSettings

logger = logging.getLogger(__name__)
MAX_PHRASES: Final = 256
_BUSY_RETRY_S: Final = 5
_BODY_WITHIN_S: Final = 120.0
_GONE: Final = 499
"""Nobody reads this status: it counts clients that left before they had sent all."""


class _Ask(BaseModel):
    base64_image: str
    labels: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=1000)]],
        Field(min_length=1, max_length=MAX_PHRASES),
    ]
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None


class _Refused(Exception):
    """An answer other than detections."""

    def __init__(self, status: int, code: str, error: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(error)
        self.status, self.code, self.error, self.retry_after_s = status, code, error, retry_after_s

    def response(self) -> JSONResponse:
        headers = {} if self.retry_after_s is None else {"Retry-After": f"{self.retry_after_s:.0f}"}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse({"error": self.error, "code": self.code}, self.status, headers)


class _Metrics:
    """The server's own registry: nothing of the process it runs in mixes with it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.answers = Counter(
            "labelbus_serve_answers", "Answers by HTTP status", ["status"], registry=self.registry
        )
        self.seconds = Histogram(
            "labelbus_serve_seconds", "Seconds from request to answer", registry=self.registry
        )
        self.waiting = Gauge("labelbus_serve_waiting", "Requests being answered", registry=self.registry)


class DetectionServer:
    """The routes of the endpoint around one detector."""

    def __init__(self, settings: DetectorSettings, detector: Detector) -> None:
        self._settings, self._detector = settings, detector
        self._metrics = _Metrics()
        self._is_ready = False
        self._waiting = 0

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Load the model before the first request, free it after the last."""
        await self._detector.open()
        self._is_ready = True
        try:
            yield
        finally:
            self._is_ready = False
            await self._detector.close()

    async def health(self, request: Request) -> Response:
        """Say whether the model is loaded."""
        status = 200 if self._is_ready else 503
        return JSONResponse({"ready": self._is_ready, "model": self._detector.model}, status)

    async def metrics(self, request: Request) -> Response:
        """Give the counters in Prometheus's text format."""
        return PlainTextResponse(generate_latest(self._metrics.registry), media_type="text/plain")

    async def detect(self, request: Request) -> Response:
        """Answer one image."""
        started = time.perf_counter()
        self._waiting += 1
        self._metrics.waiting.set(self._waiting)
        try:
            response: Response = JSONResponse({"predictions": await self._predictions(request)})
        except _Refused as refusal:
            response = refusal.response()
        except ClientDisconnect:
            response = Response(status_code=_GONE)
        finally:
            self._waiting -= 1
            self._metrics.waiting.set(self._waiting)
        self._metrics.answers.labels(str(response.status_code)).inc()
        self._metrics.seconds.observe(time.perf_counter() - started)
        return response

    async def _predictions(self, request: Request) -> list[dict[str, object]]:
        self._authorise(request)
        if self._waiting > self._settings.serve_max_waiting:
            fact = "Too many requests wait for the model. Come back later."
            raise _Refused(503, "busy", fact, retry_after_s=_BUSY_RETRY_S)
        body = await self._body(request)
        query = await asyncio.to_thread(_query, body)
        try:
            detected = await self._detector.detect(query)
        except SampleRefused as error:
            raise _Refused(400, error.code, error.reason) from error
        except RetryLater as error:
            raise _Refused(
                503, error.code, error.reason, retry_after_s=error.after_s or _BUSY_RETRY_S
            ) from error
        except Exception as error:
            logger.exception("detection failed")
            fact = "The detector failed on this image; its log says why."
            raise _Refused(500, "internal", fact) from error
        return [_prediction(one) for one in detected.detections]

    def _authorise(self, request: Request) -> None:
        token = self._settings.serve_token
        if token is None:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        wanted = token.get_secret_value().encode()
        is_known = hmac.compare_digest(given.strip().encode("latin-1", "replace"), wanted)
        if scheme.lower() != "bearer" or not is_known:
            raise _Refused(401, "unauthorised", "The bearer token is missing or wrong.")

    async def _body(self, request: Request) -> bytes:
        limit = self._settings.serve_max_body_bytes
        parts, size = [], 0
        try:
            async with asyncio.timeout(_BODY_WITHIN_S):
                async for part in request.stream():
                    size += len(part)
                    if size > limit:
                        raise _Refused(413, "too-large", f"The request is larger than {limit} bytes.")
                    parts.append(part)
        except TimeoutError as error:
            fact = f"The request did not arrive within {_BODY_WITHIN_S:g} s."
            raise _Refused(408, "too-slow", fact) from error
        return b"".join(parts)


def serve_app(settings: DetectorSettings, detector: Detector | None = None) -> Starlette:
    """Return the ASGI app. Raises `SettingsError` where others could reach it without a token."""
    if settings.serve_token is None and not settings.is_loopback:
        raise SettingsError(
            f"The detection server would be open to everybody on {settings.serve_host}. Set "
            "LABELBUS_SERVE_TOKEN, or LABELBUS_DETECTOR_SERVE_HOST=127.0.0.1."
        )
    server = DetectionServer(settings, detector or LocalDetector(settings))
    return Starlette(
        routes=[
            Route("/", server.detect, methods=["POST"]),
            Route("/health", server.health),
            Route("/metrics", server.metrics),
        ],
        lifespan=server.lifespan,
    )


def _query(body: bytes) -> Query:
    try:
        ask = _Ask.model_validate_json(body)
        image = base64.b64decode("".join(ask.base64_image.split()), validate=True)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)
        )
        raise _Refused(400, "bad-request", f"The request cannot be read: {faults}") from error
    except (binascii.Error, ValueError) as error:
        raise _Refused(400, "bad-request", "The field base64_image is no base64.") from error
    return Query(image, tuple(dict.fromkeys(ask.labels)), ask.threshold)


def _prediction(one: Detection) -> dict[str, object]:
    box = {"xmin": one.xmin, "ymin": one.ymin, "xmax": one.xmax, "ymax": one.ymax}
    return {"label": one.phrase, "score": one.score, "box": box}
