"""A client of the HTTP API of a cluster's dispatcher: `LABELBUS_URL` with `LABELBUS_TOKEN`, nothing else."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx
import stamina
from labelbus_contracts.ids import JobId, ProjectId, SecretName
from labelbus_contracts.jobs import ActionSpec
from labelbus_dispatcher.api_models import (
    Accepted,
    Apply,
    ClusterFacts,
    JobDetail,
    JobSummary,
    Kept,
    KeptJob,
    MoreSamples,
    NewJob,
    Resume,
    StoredSecret,
)
from labelbus_ledger.endings import Ending
from labelbus_ledger.facts import Facts
from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from labelbus_cli.errors import BadInput, CommandError, KeptElsewhere, NotThere

URL_VARIABLE: Final = "LABELBUS_URL"
TOKEN_VARIABLE: Final = "LABELBUS_TOKEN"  # noqa: S105  # a name
_TIMEOUT_S: Final = 30.0
_ADDING_UP_S: Final = 600.0
"""How long an answer about all samples of a job may take: a million are some ten seconds of computing."""
_PATIENCE_S: Final = 5.0
_PASSING: Final = frozenset({429, 502, 503, 504})
_SUMMARIES: Final = TypeAdapter(list[JobSummary])
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a cluster's API is, and the token that lets us in."""

    url: str
    token: SecretStr


def is_given(environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether the environment names a cluster's API."""
    return bool((os.environ if environ is None else environ).get(URL_VARIABLE, "").strip())


def address(environ: Mapping[str, str] | None = None) -> Address:
    """Return what the environment names. Raises `BadInput`."""
    given = os.environ if environ is None else environ
    url, token = given.get(URL_VARIABLE, "").strip().rstrip("/"), given.get(TOKEN_VARIABLE, "").strip()
    if not url.startswith(("http://", "https://")):
        raise BadInput(f"{URL_VARIABLE} is {url!r}. Give the dispatcher's address, like https://host:8000.")
    if not token:
        raise BadInput(
            f"Missing {TOKEN_VARIABLE}. `labelbus tokens create NAME` makes one for {URL_VARIABLE}."
        )
    return Address(url, SecretStr(token))


class _Passing(Exception):
    """What may pass: the connection failed, or the answer says to come back."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class ClusterApi:
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

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def cluster(self) -> ClusterFacts:
        """Ask what the cluster is able to do."""
        return self._read(TypeAdapter(ClusterFacts), await self._call("GET", "/v1/cluster"))

    async def put_secret(self, project_id: ProjectId, name: str, secret: SecretStr) -> SecretName:
        """Have a key sealed for one project; return the name that jobs find it by."""
        body = {"secret": secret.get_secret_value()}
        answer = await self._call("PUT", f"/v1/projects/{project_id}/secrets/{name}", json=body)
        return self._read(TypeAdapter(StoredSecret), answer).name

    async def begin(self, keeper: str, new: KeptJob) -> Kept:
        """Start a job that `keeper` keeps, or take over an equal run's. Raises `KeptElsewhere`."""
        answer = await self._call("PUT", f"/v1/keepers/{keeper}", json=_plain(new), conflict=KeptElsewhere)
        return self._read(TypeAdapter(Kept), answer)

    async def stay(self, keeper: str, job_id: JobId) -> bool:
        """Say that the keeper is there; False where it is not the job's keeper any more."""
        try:
            await self._call("POST", f"/v1/jobs/{job_id}/keepers/{keeper}")
        except NotThere:
            return False
        return True

    async def leave(self, keeper: str, job_id: JobId) -> None:
        """Pause the job that was kept, unless it has ended, and forget the keeper's keys."""
        await self._call("DELETE", f"/v1/jobs/{job_id}/keepers/{keeper}")

    async def submit(self, new: NewJob, *, key: str) -> JobId:
        """Start a job; the same key starts none twice."""
        return await self._accepted("/v1/jobs", _plain(new), key)

    async def apply(self, preview: str, how: Apply, *, key: str) -> JobId:
        """Commit the proposals of a preview."""
        return await self._accepted(f"/v1/jobs/{preview}/apply", _plain(how), key)

    async def add_samples(self, job_id: JobId, more: MoreSamples) -> None:
        """Bring further ids to a job."""
        await self._accepted(f"/v1/jobs/{job_id}/samples", _plain(more))

    async def cancel(self, job_id: str, reason: str) -> None:
        """End a job early."""
        await self._accepted(f"/v1/jobs/{job_id}/cancel", {"reason": reason})

    async def pause(self, job_id: str) -> None:
        """Stop a job for now."""
        await self._accepted(f"/v1/jobs/{job_id}/pause", {})

    async def resume(self, job_id: str, how: Resume) -> None:
        """Let a job go on."""
        await self._accepted(f"/v1/jobs/{job_id}/resume", _plain(how))

    async def jobs(self, *, prefix: str = "", limit: int = 100) -> list[JobSummary]:
        """List jobs, newest first."""
        answer = await self._call("GET", "/v1/jobs", params={"prefix": prefix, "limit": str(limit)})
        return self._read(_SUMMARIES, answer)

    async def job(self, job_id: str) -> JobDetail | None:
        """Return where a job stands, without reasons; None for one that no dispatcher has taken up."""
        try:
            answer = await self._call("GET", f"/v1/jobs/{job_id}", params={"failures": "false"})
        except NotThere:
            return None
        return self._read(TypeAdapter(JobDetail), answer)

    async def ending(self, job_id: str) -> Ending:
        """Return what is to be said of a job at its end."""
        answer = await self._call("GET", f"/v1/jobs/{job_id}/ending", read_s=_ADDING_UP_S)
        return self._read(TypeAdapter(Ending), answer)

    async def facts(self, job_id: str, *, pictures: int) -> Facts:
        """Return what a report shows."""
        params = {"pictures": str(pictures)}
        answer = await self._call("GET", f"/v1/jobs/{job_id}/facts", params=params, read_s=_ADDING_UP_S)
        return self._read(TypeAdapter(Facts), answer)

    async def export(self, job_id: str) -> AsyncIterator[str]:
        """Yield what a job said of each sample, as lines of JSON, while they come."""
        request = self._client.build_request("GET", f"/v1/jobs/{job_id}/export")
        try:
            answer = await self._client.send(request, stream=True)
            try:
                if not answer.is_success:
                    await answer.aread()
                    raise self._fault(answer, request.url.path, None)
                async for line in answer.aiter_lines():
                    yield line
            finally:
                await answer.aclose()
        except httpx.TransportError as error:
            raise CommandError(f"{self.url} broke off: {error}. Run the command again.") from error

    async def image(self, job_id: str, sample_id: int) -> bytes:
        """Return the picture of a job's sample."""
        return (await self._call("GET", f"/v1/jobs/{job_id}/samples/{sample_id}/image")).content

    async def action(self, name: str, revision: int | None) -> ActionSpec:
        """Return a stored action. Raises `NotThere`."""
        params = {} if revision is None else {"revision": str(revision)}
        answer = await self._call("GET", f"/v1/actions/{name}", params=params)
        return self._read(TypeAdapter(ActionSpec), answer)

    async def _accepted(self, path: str, body: object, key: str | None = None) -> JobId:
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = await self._call("POST", path, json=body, headers=headers)
        return self._read(TypeAdapter(Accepted), answer).job_id

    async def _call(
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
        raise self._fault(answer, path, conflict)

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

    def _fault(
        self, answer: httpx.Response, path: str, conflict: "type[KeptElsewhere] | None"
    ) -> CommandError:
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

    def _read(self, kind: "TypeAdapter[_T]", answer: httpx.Response) -> _T:
        try:
            return kind.validate_json(answer.content)
        except ValidationError as error:
            raise CommandError(
                f"{self.url} answers what this Labelbus ({_ours()}) does not understand: "
                f"{error.errors(include_url=False, include_input=False)[0]['msg']}. "
                f"Check {URL_VARIABLE}, or update the older of the two."
            ) from error


def _plain(model: BaseModel) -> object:
    return model.model_dump(mode="json", exclude_none=True)


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
