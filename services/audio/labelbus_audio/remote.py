"""An engine elsewhere: a dedicated Hugging Face endpoint, or Hugging Face's router.

POST the bytes of a WAV; a list of {"label", "score"} comes back, best first, five of them. Where more are
wanted, POST {"inputs": base64, "parameters": {"top_k"}}.
"""

import asyncio
import base64
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import httpx
from labelbus_runtime.errors import RetryLater, SampleRefused
from labelbus_studio.lanes import lanes_to
from labelbus_studio.reaching import cause_of
from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter, ValidationError

from labelbus_audio.clips import wav_of
from labelbus_audio.ears import BILLED, FEWEST, STRANGE, UNANSWERED, Answer, Heard, Query
from labelbus_audio.errors import EngineUnavailable
from labelbus_audio.windows import Window

_CONNECT_TIMEOUT_S: Final = 10.0
_PATIENCE_S: Final = 10.0
"""How long one window is tried again in place, waits included; longer waits are the dispatcher's."""
_LONGEST_WAIT_S: Final = 900.0
"""However long an answer asks to wait."""
_SHOWN: Final = 200
"""Characters of a strange answer that its error repeats."""
_IN_TIME: Final = (httpx.ReadTimeout, httpx.WriteTimeout, TimeoutError)
"""What ends a call that may have arrived; without a connection it did not."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an engine is, and what people know it by. `variable` is what to mend where it is wrong."""

    name: str
    said: str
    url: str
    model: str
    variable: str
    key: SecretStr | None = None


class _Scored(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)
    label: str
    score: float


class _Loading(BaseModel):
    estimated_time: float


_ANSWER: Final = TypeAdapter(list[_Scored])


class RemoteEars:
    """Implements `Ears` over HTTP. Many windows are asked at once, `concurrency` over all clips."""

    is_elsewhere = True

    def __init__(
        self,
        place: Place,
        *,
        concurrency: int = 32,
        timeout_s: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the place. Raises `EngineUnavailable` where its address is none."""
        if not place.url.startswith(("http://", "https://")):
            raise EngineUnavailable(f"{place.variable} is no address. It begins with https:// or http://.")
        self._place = place
        self._timeout = httpx.Timeout(timeout_s, connect=_CONNECT_TIMEOUT_S, pool=None)
        self._whole_s = timeout_s + _CONNECT_TIMEOUT_S
        self._slots = asyncio.Semaphore(concurrency)
        self._transport, self._sleep = transport, sleep
        self._client: httpx.AsyncClient | None = None

    @property
    def model(self) -> str:
        """Name the model or the endpoint's host."""
        return self._place.model

    @property
    def place(self) -> str:
        """Say what is asked, and which variable chose it."""
        return self._place.said

    async def open(self) -> None:
        """Make the connection pool; nothing is called yet."""
        transport = self._transport or lanes_to(self._place.url)
        self._client = httpx.AsyncClient(transport=transport, timeout=self._timeout)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def hear(self, query: Query) -> list[Answer | Exception]:
        """Ask for every window. After the first failure of a clip no further window of it is asked."""
        failures: list[Exception] = []

        async def one(window: Window) -> Answer | Exception:
            async with self._slots:
                if failures:
                    return failures[0]
                try:
                    return await self._heard(query, window)
                except (RetryLater, SampleRefused) as error:
                    failures.append(error)
                    return error

        return await asyncio.gather(*(one(window) for window in query.windows))

    async def _heard(self, query: Query, window: Window) -> Answer:
        """Ask for one window, again after short faults that cost nothing.

        A busy engine's slot is kept: that slows us down.
        """
        wav = wav_of(query.clip.cut(window, at_least=query.length), query.clip.rate)
        waited_s, turn = 0.0, 0
        while True:
            try:
                return _read(await self._post(wav, query.top), self._place)
            except RetryLater as error:
                pause_s = error.after_s if error.after_s is not None else 0.25 * 2**turn
                if error.scope == "job" or error.code in BILLED or waited_s + pause_s > _PATIENCE_S:
                    raise
                await self._sleep(pause_s * random.uniform(1.0, 1.1))  # noqa: S311  # jitter is no secret
                waited_s, turn = waited_s + pause_s + 0.25, turn + 1

    async def _post(self, wav: bytes, top: int) -> httpx.Response:
        if self._client is None:
            raise RuntimeError("the engine is not open")
        headers = {"Accept": "application/json"}
        if self._place.key is not None:
            headers["Authorization"] = f"Bearer {self._place.key.get_secret_value()}"
        name = self._place.name
        try:
            async with asyncio.timeout(self._whole_s):
                if top <= FEWEST:
                    headers["Content-Type"] = "audio/wav"
                    return await self._client.post(self._place.url, content=wav, headers=headers)
                body = {"inputs": base64.b64encode(wav).decode(), "parameters": {"top_k": top}}
                return await self._client.post(self._place.url, json=body, headers=headers)
        except (httpx.TransportError, TimeoutError) as error:
            if isinstance(error, _IN_TIME):
                raise RetryLater(f"{name} did not answer in time.", code=UNANSWERED) from error
            variable = self._place.variable
            why = cause_of(error, variable) or f"{type(error).__name__}. Check {variable}."
            fact = f"{name} cannot be reached: {why}"
            raise RetryLater(fact, code="engine-unreachable") from error
        except httpx.InvalidURL as error:
            fact = f"{self._place.variable} is no valid address. Correct it."
            raise RetryLater(fact, scope="job", code="engine-wrong") from error


def _read(response: httpx.Response, place: Place) -> Answer:
    """Return what was heard. Raises `RetryLater`, `SampleRefused`."""
    if response.status_code != 200:
        raise _fault(response, place)
    try:
        scored = _ANSWER.validate_json(response.content)
    except ValidationError as error:
        raise _strange(response, place) from error
    if not scored:
        raise _strange(response, place)
    heard = (Heard(one.label, min(1.0, max(0.0, one.score))) for one in scored)
    return tuple(sorted(heard, key=lambda one: -one.score))


def _strange(response: httpx.Response, place: Place) -> RetryLater:
    fact = f"{place.name} answered no list of labels with scores: {_shown(response, place)}"
    return RetryLater(f"{fact} Check that it classifies audio.", code=STRANGE)


def _fault(response: httpx.Response, place: Place) -> RetryLater | SampleRefused:
    """Return what an HTTP status means."""
    status, said = response.status_code, _shown(response, place)
    if status in {401, 403}:
        fact = f"{place.name} refused the key (HTTP {status}): {said} Correct HF_API_KEY."
        return RetryLater(fact, scope="job", code="engine-key-refused")
    if status == 402:
        fact = f"{place.name} says that the account has no credit left (HTTP 402): {said} Add credit, or set "
        fact += "HF_INFERENCE_ENDPOINT to an endpoint of your own, or label locally."
        return RetryLater(fact, scope="job", code="engine-no-credit")
    if status in {404, 405, 410}:
        fact = f"{place.name} does not offer the model any more, or never did (HTTP {status}): {said} "
        fact += f"Correct {place.variable}, or label locally (LABELBUS_AUDIO_ENGINE=local)."
        return RetryLater(fact, scope="job", code="engine-gone")
    if status == 429:
        fact = f"{place.name} has been asked too often (HTTP 429): {said}"
        return RetryLater(fact, after_s=_wait_s(response), code="rate")
    if status in {408, 425} or status >= 500:
        fact = f"{place.name} is busy, starting or failing (HTTP {status}): {said}"
        code = "starting" if status == 503 and _loading_s(response) is not None else "engine-busy"
        return RetryLater(fact, after_s=_wait_s(response), code=code)
    if status < 400:
        fact = (
            f"{place.name} is at another address (HTTP {status}): {response.headers.get('Location', said)} "
        )
        fact += f"Correct {place.variable}; it begins with https:// in most cases."
        return RetryLater(_masked(fact, place), scope="job", code="engine-wrong")
    return SampleRefused(f"{place.name} refused the sound (HTTP {status}): {said}", code="engine-refused")


def _wait_s(response: httpx.Response) -> float | None:
    """Return how long the answer asks to wait: Retry-After, or the time that a model takes to load."""
    try:
        return _bounded(float(response.headers.get("Retry-After", "")))
    except ValueError:
        return _loading_s(response)


def _loading_s(response: httpx.Response) -> float | None:
    """Return how long a model takes to load; None where the answer says nothing of one that loads."""
    try:
        return _bounded(_Loading.model_validate_json(response.content).estimated_time)
    except ValidationError:
        return None


def _bounded(seconds: float) -> float | None:
    return min(max(0.0, seconds), _LONGEST_WAIT_S) if math.isfinite(seconds) else None


def _shown(response: httpx.Response, place: Place) -> str:
    """Return what an answer says."""
    text = _masked(" ".join(response.text.split()), place)
    return f"'{text[:_SHOWN]}'." if text else "an empty answer."


def _masked(text: str, place: Place) -> str:
    """Return a text without our key: some engines repeat it."""
    key = None if place.key is None else place.key.get_secret_value()
    return text.replace(key, "***") if key else text
