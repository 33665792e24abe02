"""Requests to a cluster's HTTP API: repeated while faults pass, and failures in words."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Final, Self, TypeVar

import httpx
import stamina
from pydantic import TypeAdapter, ValidationError

from labelbus_cli.cluster_address import TOKEN_VARIABLE, URL_VARIABLE, Address
from labelbus_cli.errors import BadInput, CommandError, KeptElsewhere, NotThere

_TIMEOUT_S: Final = 30.0
_PATIENCE_S: Final = 5.0
_PASSING: Final = frozenset({429, 502, 503, 504})
_T = TypeVar("_T")


class _Passing(Exception):
    """What may pass: the connection failed, or the answer says to come back."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class ClusterCalls:
    """Speaks to one dispatcher. Faults that pass are tried again for `patience_s`; `say` is told of them.

    Every request may be repeated: the API recognises it. All methods raise `CommandError`.
    """

    def __init__(
        self,
        where: Address,
        *,
        patience_s: float = _PATIENCE_S,
        say: Callable[[str], None] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = where.url
        self.patience_s = patience_s
        self._say = say
        self._is_out = False
        headers = {"Authorization": f"Bearer {where.token.get_secret_value()}"}
        self._client = httpx.AsyncClient(
            base_url=where.url, headers=headers, timeout=_TIMEOUT_S, transport=transport
        )
        stamina.instrumentation.set_on_retry_hooks([])  # `say` is told instead

    async def __aenter__(self) -> Self:
        """Open."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        conflict: "type[KeptElsewhere] | None" = None,
        read_s: float = _TIMEOUT_S,
    ) -> httpx.Response:
        """Return the answer of a request that succeeded. Raises `CommandError`, `conflict` for a 409."""
        timeout = httpx.Timeout(_TIMEOUT_S, read=read_s)
        request = self._client.build_request(
            method, path, json=json, params=params, headers=headers, timeout=timeout
        )
        try:
            async for attempt in stamina.retry_context(
                on=self._waits, attempts=None, timeout=self.patience_s, wait_initial=0.2, wait_max=5.0
            ):
                with attempt:
                    answer = await self._once(request)
        except _Passing as error:
            raise CommandError(
                f"{self.url} does not answer: {error} Check that it runs, and {URL_VARIABLE}."
            ) from error
        if self._is_out and self._say is not None:
            self._say(f"{self.url} answers again")
        self._is_out = False
        if answer.is_success:
            return answer
        raise self.fault(answer, path, conflict)

    async def _once(self, request: httpx.Request) -> httpx.Response:
        try:
            answer = await self._client.send(request)
        except httpx.UnsupportedProtocol as error:
            raise BadInput(f"{self.url} is no address: {error}. Check {URL_VARIABLE}.") from error
        except httpx.TransportError as error:
            raise _Passing(f"{str(error) or type(error).__name__}.") from error
        if answer.status_code in _PASSING and not _is_of_studio(answer):
            after = answer.headers.get("Retry-After", "")
            raise _Passing(_detail(answer), float(after) if after.isdecimal() else None)
        return answer

    def _waits(self, error: Exception) -> bool | float:
        if not isinstance(error, _Passing):
            return False
        if not self._is_out and self._say is not None:
            self._say(f"{self.url} does not answer: {error} Trying again …")
        self._is_out = True
        return True if error.after_s is None else min(error.after_s, 5.0)

    def fault(
        self, answer: httpx.Response, path: str, conflict: "type[KeptElsewhere] | None"
    ) -> CommandError:
        """Return what an answer that is no success means."""
        status, detail = answer.status_code, _detail(answer)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return BadInput(
                f"{self.url} refuses the token in {TOKEN_VARIABLE}. "
                "`labelbus tokens create NAME` makes one there."
            )
        if status == HTTPStatus.NOT_FOUND and _is_problem(answer) and detail != "Not Found":
            return NotThere(detail)
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            return BadInput(
                f"{self.url} has no {path}: it is no dispatcher of Labelbus, or one older than this one "
                f"({_ours()}). Check {URL_VARIABLE}, or update the cluster."
            )
        if status == HTTPStatus.CONFLICT and conflict is not None:
            return conflict(detail, float(answer.headers.get("Retry-After", "1")))
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return BadInput(
                f"{self.url} does not understand the request: {detail}. "
                f"If its Labelbus is another than this one ({_ours()}), update the older."
            )
        if status in (HTTPStatus.CONFLICT, HTTPStatus.NOT_IMPLEMENTED):
            return BadInput(f"{self.url} refuses: {detail}")
        return CommandError(f"{self.url} answers {status}: {detail}")

    def read(self, kind: type[_T], answer: httpx.Response) -> _T:
        """Return what an answer says. Raises `CommandError`."""
        try:
            return TypeAdapter(kind).validate_json(answer.content)
        except ValidationError as error:
            raise CommandError(
                f"{self.url} answers what this Labelbus ({_ours()}) does not understand: "
                f"{error.errors(include_url=False, include_input=False)[0]['msg']}. "
                f"Check {URL_VARIABLE}, or update the older of the two."
            ) from error


def _is_problem(answer: httpx.Response) -> bool:
    return str(answer.headers.get("Content-Type", "")).startswith("application/problem+json")


def _is_of_studio(answer: httpx.Response) -> bool:
    return answer.status_code == HTTPStatus.BAD_GATEWAY and _is_problem(answer)


def _detail(answer: httpx.Response) -> str:
    """Return what the answer says, in a sentence."""
    try:
        found = answer.json()
    except ValueError:
        found = None
    if isinstance(found, dict) and isinstance(found.get("detail"), str):
        return str(found["detail"])
    return f"it answers {answer.status_code} ({' '.join(answer.text.split())[:200]})."


def _ours() -> str:
    return version("labelbus")
