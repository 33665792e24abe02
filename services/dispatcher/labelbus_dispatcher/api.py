"""The HTTP API: submit jobs, look at them, stop and resume them. OpenAPI is at `/v1/openapi.json`.

What blocks need beside that is in `api_cluster`, what pages about a job show in `api_pages`.
"""

import asyncio
import hmac
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from labelbus_contracts.ids import JobId
from labelbus_contracts.jobs import Selection
from labelbus_contracts.v1 import commands
from labelbus_contracts.v1.message import message_id
from labelbus_ledger import job_rows, reports
from labelbus_ledger.access import StudioAccess
from labelbus_ledger.engine import Ledger
from labelbus_ledger.secrets import SecretStore
from labelbus_ledger.tokens import Tokens
from pydantic import SecretStr

from labelbus_dispatcher import api_cluster, api_keepers, api_pages, problems
from labelbus_dispatcher.api_models import (
    Accepted,
    Apply,
    Command,
    JobDetail,
    JobSummary,
    MoreSamples,
    NewJob,
    Resume,
    detail,
    summary,
)
from labelbus_dispatcher.api_pages import job_of
from labelbus_dispatcher.keeping import Keeping
from labelbus_dispatcher.looks import Looks
from labelbus_dispatcher.selection import Publish

_JOBS: Final = uuid.UUID("6b0f3f0e-6d0f-4b6c-9f0c-6c6162656c62")  # the namespace of ids from idempotency keys
_PROGRESS_S: Final = 1.0
_QUIET_S: Final = 15.0
IdempotencyKey: TypeAlias = Annotated[str | None, Header(max_length=200)]


def create_api(
    ledger: Ledger,
    publish: Publish,
    *,
    token: SecretStr | None = None,
    carrier_id: str = "",
    keeper_s: float = 30.0,
    secrets: SecretStore | None = None,
    access: StudioAccess | None = None,
) -> FastAPI:
    """Return the API. A request needs `token`, or one of the ledger's, as its bearer token.

    `secrets` seals what blocks bring, `access` fetches pictures; without them these routes say so.
    """
    app = FastAPI(
        title="Labelbus", version="1", openapi_url="/v1/openapi.json", docs_url="/v1/docs", redoc_url=None
    )
    problems.install(app)
    doorkeeper = _Doorkeeper(ledger, token)
    keeping = Keeping(ledger, publish, carrier_id=carrier_id, keeper_s=keeper_s)
    store = secrets or SecretStore(ledger, allow_env=False, keys=None)
    app.include_router(_router(ledger, _Jobs(ledger, publish), doorkeeper))
    app.include_router(api_pages.router(ledger, access), dependencies=[Depends(doorkeeper)])
    app.include_router(
        api_cluster.router(ledger, carrier_id=carrier_id, secrets=store), dependencies=[Depends(doorkeeper)]
    )
    app.include_router(api_keepers.router(keeping, doorkeeper), dependencies=[Depends(doorkeeper)])
    return app


class _Doorkeeper:
    """Lets in who has a token, and tells their name."""

    def __init__(self, ledger: Ledger, token: SecretStr | None) -> None:
        self._tokens = Tokens(ledger)
        self._token = token

    async def __call__(
        self, given: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
    ) -> str:
        """Return the caller's name."""
        name = None if given is None else await self._name(SecretStr(given.credentials))
        if name is None:
            detail = "The bearer token is missing or unknown. Create one with `labelbus tokens create`."
            raise problems.problem(401, detail, {"WWW-Authenticate": "Bearer"})
        return name

    async def _name(self, token: SecretStr) -> str | None:
        if self._token is not None and hmac.compare_digest(
            token.get_secret_value().encode(), self._token.get_secret_value().encode()
        ):
            return "api"
        return await self._tokens.check(token)


class _Jobs:
    """What routes do. Reads come from the ledger, commands go over the carrier."""

    def __init__(self, ledger: Ledger, publish: Publish) -> None:
        self._ledger = ledger
        self._publish = publish
        self.detail = Looks(self._detail)

    async def submit(self, submit: commands.SubmitJob) -> Accepted:
        """Publish a job; a key that already made a different one is refused."""
        async with self._ledger.read() as conn:
            known = await job_rows.submit_of(conn, submit.job_id)
        if known is not None and job_rows.fingerprint(known) != job_rows.fingerprint(submit):
            raise problems.problem(409, "This Idempotency-Key made another job. Use a new key.")
        if known is None:
            await self._publish([submit])
        return Accepted(job_id=submit.job_id)

    async def command(self, command: commands.JobCommand) -> Accepted:
        """Publish a command about a job that exists."""
        await job_of(self._ledger, command.job_id)
        await self._publish([command])
        return Accepted(job_id=command.job_id)

    async def list(self, limit: int, prefix: str) -> list[JobSummary]:
        """Return the newest jobs."""
        async with self._ledger.read() as conn:
            return [summary(row) for row in await reports.list_jobs(conn, prefix=prefix, limit=limit)]

    async def add(self, job_id: JobId, more: MoreSamples) -> Accepted:
        """Publish further ids. The job's own command may still be on its way: theirs comes behind it."""
        begins = more.ids[0] if more.ids else "none"
        name = message_id("add_samples", job_id, begins, len(more.ids))
        await self._publish([commands.AddSamples(id=name, job_id=job_id, ids=more.ids, last=more.last)])
        return Accepted(job_id=job_id)

    async def _detail(self, question: tuple[str, bool]) -> JobDetail:
        """Return one job with its progress, and with the reasons of failures where they are asked for."""
        job_id, failures = question
        row = await job_of(self._ledger, job_id)
        async with self._ledger.read() as conn:
            groups = await reports.failures(conn, job_id) if failures else ()
            return detail(row, await reports.progress(conn, job_id), groups)

    async def progress(self, job_id: str) -> AsyncIterator[str]:
        """Yield server-sent events: the job whenever it changed, until it has ended."""
        last, quiet_s = "", 0.0
        while True:
            job = await self.detail((job_id, False))
            text = job.model_dump_json()
            if text != last:
                last, quiet_s = text, 0.0
                yield f"event: progress\ndata: {text}\n\n"
            elif quiet_s >= _QUIET_S:
                quiet_s = 0.0
                yield ": still here\n\n"
            if job.has_ended:
                yield f"event: end\ndata: {text}\n\n"
                return
            await asyncio.sleep(_PROGRESS_S)
            quiet_s += _PROGRESS_S


def _router(ledger: Ledger, jobs: _Jobs, doorkeeper: _Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=[Depends(doorkeeper)])

    @router.post("", status_code=202)
    async def submit(
        new: NewJob,
        response: Response,
        caller: Annotated[str, Depends(doorkeeper)],
        idempotency_key: IdempotencyKey = None,
    ) -> Accepted:
        """Start a job. The same Idempotency-Key never starts a second one."""
        job_id = _job_id(caller, idempotency_key)
        response.headers["Location"] = f"/v1/jobs/{job_id}"
        return await jobs.submit(new.submit(job_id, caller))

    @router.get("")
    async def list_jobs(limit: int = 100, prefix: str = "") -> list[JobSummary]:
        """List jobs, newest first; with a prefix, those whose id begins so."""
        return await jobs.list(min(max(limit, 1), 1000), prefix)

    @router.get("/{job_id}")
    async def job(job_id: str, failures: bool = True) -> JobDetail:
        """Return where a job stands, and why samples failed unless that is not asked for."""
        return await jobs.detail((job_id, failures))

    @router.get("/{job_id}/events")
    async def events(job_id: str, request: Request) -> StreamingResponse:
        """Stream the job's progress as server-sent events until it has ended."""
        await job_of(ledger, job_id)
        return StreamingResponse(jobs.progress(job_id), media_type="text/event-stream")

    @router.post("/{job_id}/samples", status_code=202)
    async def samples(job_id: JobId, more: MoreSamples) -> Accepted:
        """Bring further ids to a job whose selection said that more follow."""
        return await jobs.add(job_id, more)

    @router.post("/{job_id}/cancel", status_code=202)
    async def cancel(job_id: JobId, why: Command | None = None) -> Accepted:
        """End a job early; what is committed stays."""
        reason = why.reason if why else ""
        return await jobs.command(commands.CancelJob(id=_new("cancel_job"), job_id=job_id, reason=reason))

    @router.post("/{job_id}/pause", status_code=202)
    async def pause(job_id: JobId, why: Command | None = None) -> Accepted:
        """Stop a job for now."""
        reason = why.reason if why else ""
        return await jobs.command(commands.PauseJob(id=_new("pause_job"), job_id=job_id, reason=reason))

    @router.post("/{job_id}/resume", status_code=202)
    async def resume(job_id: JobId, how: Resume | None = None) -> Accepted:
        """Go on with a paused job, or try the failed samples of a finished one again."""
        given = (how or Resume()).model_dump()
        return await jobs.command(commands.ResumeJob(id=_new("resume_job"), job_id=job_id, **given))

    @router.post("/{job_id}/apply", status_code=202)
    async def apply(
        job_id: JobId,
        caller: Annotated[str, Depends(doorkeeper)],
        how: Apply | None = None,
        idempotency_key: IdempotencyKey = None,
    ) -> Accepted:
        """Commit the stored proposals of a preview, as a job of its own."""
        preview = (await job_of(ledger, job_id)).submit
        if preview.mode != "preview":
            raise problems.problem(409, f"Job {job_id} is no preview. Name one that is.")
        given = how.model_dump(exclude_none=True) if how else {}
        submit = _applying(preview, _job_id(caller, idempotency_key), caller)
        return await jobs.submit(submit.model_copy(update=given))

    return router


def _applying(preview: commands.SubmitJob, job_id: JobId, caller: str) -> commands.SubmitJob:
    changes = {
        "id": message_id("submit_job", job_id), "job_id": job_id, "mode": "apply", "submitted_by": caller,
        "source_job_id": preview.job_id, "selection": Selection(), "studio_job_id": None,
    }  # fmt: skip
    return preview.model_copy(update=changes)


def _job_id(caller: str, key: str | None) -> JobId:
    """Return a new id, or the one that this caller's key stands for."""
    return JobId(str(uuid.uuid4() if key is None else uuid.uuid5(_JOBS, f"{caller}\n{key}")))


def _new(kind: str) -> str:
    return message_id(kind, uuid.uuid4())
