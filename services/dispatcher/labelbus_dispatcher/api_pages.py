"""The HTTP API's routes for pages about a job: labels before and after, and pictures of its samples."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from labelbus_contracts.ids import ProjectId, SampleId
from labelbus_ledger import endings, job_samples, reports
from labelbus_ledger.access import StudioAccess
from labelbus_ledger.endings import Ending
from labelbus_ledger.engine import Ledger
from labelbus_ledger.exports import lines
from labelbus_ledger.facts import Facts, gather
from labelbus_ledger.reports import JobRow
from labelbus_runtime.errors import RetryLater
from labelbus_studio.errors import SampleNotFound, StudioError

from labelbus_dispatcher import problems
from labelbus_dispatcher.looks import Looks
from labelbus_dispatcher.recipes import without_ids

_IMAGE: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"image/jpeg": {}, "image/png": {}}}}


def router(ledger: Ledger, access: StudioAccess | None) -> APIRouter:
    """Return the routes. Without `access` there are no pictures."""
    made = APIRouter(prefix="/v1/jobs/{job_id}", tags=["pages"])

    async def ending_of(job_id: str) -> Ending:
        await job_of(ledger, job_id)
        async with ledger.read() as conn:
            return await endings.ending(conn, job_id)

    async def facts_of(question: tuple[str, int]) -> Facts:
        job_id, pictures = question
        job = await job_of(ledger, job_id)
        async with ledger.read() as conn:
            return await gather(conn, replace(job, submit=without_ids(job.submit)), pictures=pictures)

    look_at_ending, look_at_facts = Looks(ending_of), Looks(facts_of)

    @made.get("/ending")
    async def ending(job_id: str) -> Ending:
        """Tell what a job's summary says: labels before and after, and why samples failed or are held."""
        return await look_at_ending(job_id)

    @made.get("/facts")
    async def facts(job_id: str, pictures: Annotated[int, Query(ge=0, le=1000)] = 60) -> Facts:
        """Tell what a report shows: counts, cost, and the samples that changed most, before and after."""
        return await look_at_facts((job_id, pictures))

    @made.get("/export", response_class=StreamingResponse)
    async def export(job_id: str) -> StreamingResponse:
        """Stream what the job said of each sample, one line of JSON per sample."""
        job = await job_of(ledger, job_id)
        return StreamingResponse(_lines(ledger, job), media_type="application/x-ndjson")

    @made.get("/samples/{sample_id}/image", response_class=Response, responses=_IMAGE)
    async def image(job_id: str, sample_id: Annotated[int, Path(ge=1, lt=2**63)]) -> Response:
        """Return the picture of one of the job's samples, read from Studio with the job's key."""
        job = await job_of(ledger, job_id)
        async with ledger.read() as conn:
            known = await job_samples.known_ids(conn, job.submit.job_id, [sample_id])
        if not known or access is None:
            raise problems.problem(404, f"Job {job_id} has no picture of sample {sample_id}.")
        return await _picture(access, job, SampleId(sample_id))

    return made


async def job_of(ledger: Ledger, job_id: str) -> JobRow:
    """Return one job's row. Raises a 404 where there is none."""
    async with ledger.read() as conn:
        row = await reports.find_job(conn, job_id)
    if row is None:
        raise problems.problem(404, f"There is no job {job_id}. List the jobs at /v1/jobs.")
    return row


async def _lines(ledger: Ledger, job: JobRow) -> AsyncIterator[str]:
    async for line in lines(ledger, job):
        yield line + "\n"


async def _picture(access: StudioAccess, job: JobRow, sample_id: SampleId) -> Response:
    try:
        client = await access.client(ProjectId(job.project_id), job.submit.secret)
        data = await client.image(ProjectId(job.project_id), sample_id)
    except RetryLater as error:
        raise problems.problem(409, error.reason) from None
    except SampleNotFound:
        raise problems.problem(404, f"Sample {sample_id} is gone from project {job.project_id}.") from None
    except StudioError as error:
        raise problems.problem(502, str(error)) from None
    kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
    return Response(data, media_type=kind, headers={"Cache-Control": "private, no-store"})
