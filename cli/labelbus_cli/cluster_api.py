"""A client of the HTTP API of a cluster's dispatcher: its routes."""

from collections.abc import AsyncIterator
from typing import Final

import httpx
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
from pydantic import BaseModel, SecretStr

from labelbus_cli.cluster_calls import ClusterCalls
from labelbus_cli.errors import CommandError, KeptElsewhere, NotThere

_ADDING_UP_S: Final = 600.0
"""How long an answer about all samples of a job may take: a million are some ten seconds of computing."""


class ClusterApi(ClusterCalls):
    """Asks one dispatcher. All methods raise `CommandError`."""

    async def cluster(self) -> ClusterFacts:
        """Ask what the cluster is able to do."""
        return self.read(ClusterFacts, await self.call("GET", "/v1/cluster"))

    async def put_secret(self, project_id: ProjectId, name: str, secret: SecretStr) -> SecretName:
        """Have a key sealed for one project; return the name that jobs find it by."""
        body = {"secret": secret.get_secret_value()}
        answer = await self.call("PUT", f"/v1/projects/{project_id}/secrets/{name}", json=body)
        return self.read(StoredSecret, answer).name

    async def begin(self, keeper: str, new: KeptJob) -> Kept:
        """Start a job that `keeper` keeps, or take over an equal run's. Raises `KeptElsewhere`."""
        answer = await self.call("PUT", f"/v1/keepers/{keeper}", json=_plain(new), conflict=KeptElsewhere)
        return self.read(Kept, answer)

    async def stay(self, keeper: str, job_id: JobId) -> bool:
        """Say that the keeper is there; False where it is not the job's keeper any more."""
        try:
            await self.call("POST", f"/v1/jobs/{job_id}/keepers/{keeper}")
        except NotThere:
            return False
        return True

    async def leave(self, keeper: str, job_id: JobId) -> None:
        """Pause the job that was kept, unless it has ended, and forget the keeper's keys."""
        await self.call("DELETE", f"/v1/jobs/{job_id}/keepers/{keeper}")

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
        answer = await self.call("GET", "/v1/jobs", params={"prefix": prefix, "limit": str(limit)})
        return self.read(list[JobSummary], answer)

    async def job(self, job_id: str) -> JobDetail | None:
        """Return where a job stands, without reasons; None for one that no dispatcher has taken up."""
        try:
            answer = await self.call("GET", f"/v1/jobs/{job_id}", params={"failures": "false"})
        except NotThere:
            return None
        return self.read(JobDetail, answer)

    async def ending(self, job_id: str) -> Ending:
        """Return what is to be said of a job at its end."""
        answer = await self.call("GET", f"/v1/jobs/{job_id}/ending", read_s=_ADDING_UP_S)
        return self.read(Ending, answer)

    async def facts(self, job_id: str, *, pictures: int) -> Facts:
        """Return what a report shows."""
        params = {"pictures": str(pictures)}
        answer = await self.call("GET", f"/v1/jobs/{job_id}/facts", params=params, read_s=_ADDING_UP_S)
        return self.read(Facts, answer)

    async def export(self, job_id: str) -> AsyncIterator[str]:
        """Yield what a job said of each sample, as lines of JSON, while they come."""
        request = self._client.build_request("GET", f"/v1/jobs/{job_id}/export")
        try:
            answer = await self._client.send(request, stream=True)
            try:
                if not answer.is_success:
                    await answer.aread()
                    raise self.fault(answer, request.url.path, None)
                async for line in answer.aiter_lines():
                    yield line
            finally:
                await answer.aclose()
        except httpx.TransportError as error:
            raise CommandError(f"{self.url} broke off: {error}. Run the command again.") from error

    async def image(self, job_id: str, sample_id: int) -> bytes:
        """Return the picture of a job's sample."""
        return (await self.call("GET", f"/v1/jobs/{job_id}/samples/{sample_id}/image")).content

    async def action(self, name: str, revision: int | None) -> ActionSpec:
        """Return a stored action. Raises `NotThere`."""
        params = {} if revision is None else {"revision": str(revision)}
        answer = await self.call("GET", f"/v1/actions/{name}", params=params)
        return self.read(ActionSpec, answer)

    async def _accepted(self, path: str, body: object, key: str | None = None) -> JobId:
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = await self.call("POST", path, json=body, headers=headers)
        return self.read(Accepted, answer).job_id


def _plain(model: BaseModel) -> object:
    return model.model_dump(mode="json", exclude_none=True)
