"""Calls to Studio with one project's key: limits, timeouts, short retries, counts.

The retry loop is our own and not stamina's: whether to wait depends on what is left of the budget, which a
stamina hook cannot see, so a long `Retry-After` would be slept through instead of going to the caller at
once. HTTP/1.1 over pooled connections: the HTTP/2 coder logs header values, and the key is one.
"""

import asyncio
import logging
import math
import random
import re
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx
from pydantic import SecretStr
from pydantic_core import to_json

from labelbus_studio.answers import (
    Call,
    Fault,
    Json,
    Param,
    Whole,
    read_json,
    read_media,
    read_whole,
    unreachable,
)
from labelbus_studio.errors import KeyRefused, StudioError, StudioUnavailable
from labelbus_studio.lanes import lanes_to
from labelbus_studio.limits import Clock, Limits, Sleep
from labelbus_studio.settings import StudioSettings

_log = logging.getLogger("labelbus_studio")
_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 4.0
_T = TypeVar("_T")
_UNTIL: Final[ContextVar[float]] = ContextVar("until", default=math.inf)


@asynccontextmanager
async def until(deadline: float) -> AsyncIterator[None]:
    """Raise `TimeoutError` inside at a time of the loop's clock, and let no call begin from then on.

    A process that was stopped and goes on would else send what it was about to send, however long ago that
    was: its loop runs what is ready before it finds that the time is over.
    """
    token = _UNTIL.set(deadline)
    try:
        async with asyncio.timeout_at(deadline):
            yield
    finally:
        _UNTIL.reset(token)


class Calls:
    """Make calls. `calls` counts HTTP requests, repeated ones too, by route or `route:purpose`."""

    def __init__(
        self,
        project_key: SecretStr,
        *,
        settings: StudioSettings | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        ssl_context: ssl.SSLContext | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.settings = settings or StudioSettings()
        self.calls: Counter[str] = Counter()
        self._key = project_key
        self._clock = clock
        self._sleep = sleep
        self._limits = Limits(self.settings, clock=clock, sleep=sleep)
        self._transport = transport or lanes_to(self.settings.endpoint, ssl_context)
        self._http = _http_client(self.settings, self._transport, ssl_context)
        self._headers = dict(self._http.headers)
        self._extensions = {"timeout": self._http.timeout.as_dict()}

    def __repr__(self) -> str:
        """Say where to; never the key."""
        return f"<{type(self).__name__} {self.settings.endpoint}>"

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(self, call: Call) -> Json:
        """Return the JSON object of a call that succeeded. Raises `StudioError`."""
        return await self._repeat(call, read_json)

    async def fetch(self, call: Call) -> bytes:
        """Return the body of a call that answers media. Raises `StudioError`."""
        return await self._repeat(call, read_media)

    async def relay(self, call: Call) -> Whole:
        """Return an answer as it came, without the API key where it holds it. Raises `StudioError`."""
        answer = await self._repeat(call, read_whole)
        return Whole(answer.kind, answer.content.replace(self._key.get_secret_value().encode(), b"***"))

    async def _repeat(self, call: Call, read: Callable[[Call, httpx.Response], _T]) -> _T:
        deadline = self._clock() + self.settings.retry_within_s
        backoff_s = _FIRST_WAIT_S
        while True:
            outcome = await self._attempt(call, read)
            if not isinstance(outcome, Fault):
                return outcome
            wait_s = max(backoff_s * random.uniform(0.5, 1.5), outcome.after_s or 0.0)  # noqa: S311  # jitter
            if not (call.repeatable or outcome.undone) or self._clock() + wait_s > deadline:
                raise outcome.error
            _log.info("Again in %.1f s: %s", wait_s, outcome.error)
            await self._sleep(wait_s)
            backoff_s = min(backoff_s * 2, _LONGEST_WAIT_S)

    async def _attempt(self, call: Call, read: Callable[[Call, httpx.Response], _T]) -> _T | Fault:
        """Send once. Foreign exceptions and frames end here: their locals may show the key."""
        try:
            async with (
                self._limits.slot(first=call.changes_a_sample),
                asyncio.timeout(self.settings.timeout_s),
            ):
                if asyncio.get_running_loop().time() >= _UNTIL.get():
                    raise StudioUnavailable(f"The time for {call.subject} was over; it comes again later.")
                response = await self._send(call)
            return read(call, response)
        except Fault as fault:
            outcome: Fault | StudioError = fault
        except StudioError as error:
            outcome = error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            outcome = unreachable(call, error)
        if isinstance(outcome, Fault):
            self._redact(outcome.error)
            return outcome
        raise self._redact(outcome).with_traceback(None)

    async def _send(self, call: Call) -> httpx.Response:
        self.calls[call.count_as] += 1
        headers = {**self._headers, "x-api-key": self._checked_key()}
        if call.body is not None:
            headers["content-type"] = "application/json"
        content = to_json(call.body) if call.body is not None else None
        if call.content is not None:
            content, headers["content-type"] = call.content
        params = {name: _text(value) for name, value in (call.params or {}).items() if value is not None}
        request = httpx.Request(
            call.method,
            self.settings.endpoint + call.path,
            params=params or None,
            content=content,
            files={"image": call.upload} if call.upload else None,
            headers=headers,
            extensions=self._extensions,
        )
        if self._transport is None:
            return await self._http.send(request)
        return await _answered(self._transport, request)

    def _checked_key(self) -> str:
        key = self._key.get_secret_value()
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            raise KeyRefused(
                "The API key is empty or has blanks or odd characters. Give the job a valid key."
            )
        return key

    def _redact(self, error: StudioError) -> StudioError:
        key = self._key.get_secret_value()
        if key and key in str(error):
            error.args = (str(error).replace(key, "***"),)
        return error


async def _answered(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
    """Send past the client: redirects, cookies and logins, which we never follow, are a third of its CPU."""
    response = await transport.handle_async_request(request)
    response.request = request
    try:
        await response.aread()
    finally:
        await response.aclose()
    return response


async def together(works: Iterable[Coroutine[None, None, _T]]) -> list[_T]:
    """Run works at once, return their answers in order. The first error cancels the rest and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def _http_client(
    settings: StudioSettings, transport: httpx.AsyncBaseTransport | None, context: ssl.SSLContext | None
) -> httpx.AsyncClient:
    secure = settings.endpoint.startswith("https:")
    return httpx.AsyncClient(
        transport=transport,
        verify=context if secure and context else secure,
        timeout=settings.timeout_s,
        limits=httpx.Limits(
            max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency
        ),
        follow_redirects=False,
        headers={"user-agent": f"labelbus/{version('labelbus-studio')}"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # the key alone says who asks
    )


def _text(value: Param) -> str:
    """Write a query value as Studio reads it: booleans in small letters."""
    return str(value).lower() if isinstance(value, bool) else str(value)
