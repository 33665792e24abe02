"""The HTTP API's routes for jobs that a block outside keeps."""

import math
import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from labelbus_contracts.ids import JobId

from labelbus_dispatcher import problems
from labelbus_dispatcher.api_models import Kept, KeptJob
from labelbus_dispatcher.keeping import Keeping
from labelbus_dispatcher.keeping import Kept as KeptByAnother

KeeperId = Annotated[
    str, Path(pattern="^[0-9a-f]{32}$", description="32 hexadecimal digits of the run's own")
]


def router(keeping: Keeping, caller_of: Callable[..., Awaitable[str]]) -> APIRouter:
    """Return the routes. `caller_of` tells the caller's name."""
    made = APIRouter(prefix="/v1", tags=["keepers"])

    @made.put("/keepers/{keeper}", status_code=202)
    async def begin(keeper: KeeperId, new: KeptJob, caller: Annotated[str, Depends(caller_of)]) -> Kept:
        """Start a job that its keeper keeps, or take over the unfinished one of an equal run.

        The same request again is as good as one. Keys that the keeper brings are stored before, under names
        that begin with `keeper-<keeper>-`: they are forgotten when the job has ended.
        """
        try:
            submit = new.submit(JobId(str(uuid.uuid4())), caller)
            begun = await keeping.begin(keeper, submit, new.mark)
        except KeptByAnother as error:
            left_s = math.ceil(error.left_s)
            detail = (
                f"Job {error.job_id} is kept by an equal run. Wait for its end, or for {left_s} s of silence."
            )
            raise problems.problem(409, detail, {"Retry-After": str(left_s)}) from None
        return Kept(job_id=begun.job_id, went_on=begun.went_on, silent_s=keeping.keeper_s)

    @made.post("/jobs/{job_id}/keepers/{keeper}", status_code=204)
    async def stay(job_id: JobId, keeper: KeeperId) -> None:
        """Say that the keeper is there. 404 where another run has taken its place, or the job has ended."""
        if not await keeping.stay(keeper, job_id):
            raise problems.problem(404, f"Job {job_id} has no keeper {keeper}. See whether it has ended.")

    @made.delete("/jobs/{job_id}/keepers/{keeper}", status_code=204)
    async def leave(job_id: JobId, keeper: KeeperId) -> None:
        """Pause the job of a keeper that ends, and forget the keys that it brought."""
        await keeping.leave(keeper, job_id)

    return made
