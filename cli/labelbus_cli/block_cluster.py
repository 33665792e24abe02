"""Run a block's work on the organisation's cluster: `LABELBUS_URL` and `LABELBUS_TOKEN` in the block.

The block's keys die with its container, so that it keeps its job: it says every second or so that it is
there. When it is gone the job pauses, and an equal run goes on with keys of its own.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from labelbus_contracts.ids import JobId, ProjectId
from labelbus_dispatcher.api_models import ClusterFacts, JobDetail, Kept, MoreSamples
from labelbus_labeling.labeler import Registration
from labelbus_runtime.settings import load
from labelbus_studio.client import StudioClients
from labelbus_studio.project_calls import Project
from labelbus_studio.settings import StudioSettings
from pydantic import SecretStr

from labelbus_cli.block_arguments import BlockArguments
from labelbus_cli.block_job import BlockJob, key_name
from labelbus_cli.block_lines import Lines, tell, tell_choice
from labelbus_cli.choice import Choice
from labelbus_cli.cluster_address import address
from labelbus_cli.cluster_api import ClusterApi
from labelbus_cli.cluster_jobs import progress_of, row_of
from labelbus_cli.errors import BadInput, CommandError, KeptElsewhere, Unfinished
from labelbus_cli.runner import Outcome, interruptible
from labelbus_cli.session import KEY_VARIABLE, project_of

_FIRST_PATIENCE_S: Final = 15.0
_PATIENCE_S: Final = 600.0
"""How long the API may be away in mid-job: it restarts, or the network does."""
_LOOK_EVERY_S: Final = 1.0
_LONGEST_LOOK_S: Final = 5.0
_TAKEN_UP_WITHIN_S: Final = 60.0


async def run_on_cluster(
    registration: Registration,
    arguments: BlockArguments,
    choice: Choice,
    lines: Lines,
    environ: Mapping[str, str],
    *,
    check_after_s: float,
) -> int:
    """Have the cluster do a block's work, and return the exit code when it is done. Raises `CommandError`."""
    wanted = BlockJob(registration, arguments, choice, check_after_s)
    wanted.parameters(wanted.keeper)  # complains of names that the cluster does not know
    key = SecretStr(environ[KEY_VARIABLE].strip())
    clients = StudioClients(load(StudioSettings))
    try:
        async with ClusterApi(address(environ), patience_s=_FIRST_PATIENCE_S, say=lines.note) as api:
            _complain(await api.cluster(), registration, api.url)
            client = clients.get(key)
            project = await project_of(client)
            job, there = arguments.studio_job_id, f" on the cluster {api.url}"
            if not await tell_choice(lines, choice, client, project, studio_job_id=job, there=there):
                return 0
            with interruptible(lambda: lines.note("Interrupted. Pausing the job …")) as interrupted:
                outcome = await _Run(api, wanted, project, key, lines, interrupted).to_the_end()
            tell(lines, await api.ending(outcome.job.job_id), outcome)
            if outcome.job.state == "paused" and not outcome.interrupted:
                lines.write("The cluster has forgotten this block's key: run the block again to go on.")
            return outcome.exit_code
    finally:
        await clients.aclose()


class _Run:
    """One block run that keeps its job on the cluster."""

    def __init__(
        self,
        api: ClusterApi,
        wanted: BlockJob,
        project: Project,
        key: SecretStr,
        lines: Lines,
        interrupted: asyncio.Event,
    ) -> None:
        self._api = api
        self._wanted = wanted
        self._project = project
        self._key = key
        self._lines = lines
        self._interrupted = interrupted

    async def to_the_end(self) -> Outcome:
        """Return once the job has ended or is paused, by somebody else or by our own end."""
        begun = await self._begin()
        said = "Going on with" if begun.went_on else "This is"
        self._lines.note(f"{said} job {begun.job_id}")
        self._api.patience_s = _PATIENCE_S
        for more in self._wanted.wish(self._project).more(begun.job_id):
            await self._api.add_samples(begun.job_id, MoreSamples(ids=more.ids, last=more.last))
        self._lines.begin([self._wanted.registration.name])
        try:
            job = await self._watch(begun.job_id, min(_LONGEST_LOOK_S, begun.silent_s / 6))
        finally:
            self._lines.end()
        if not job.has_ended:
            await self._api.leave(self._wanted.keeper, begun.job_id)
        return Outcome(row_of(job), progress_of(job), self._interrupted.is_set())

    async def _begin(self) -> Kept:
        wanted, project_id = self._wanted, ProjectId(self._project.id)
        secret = await self._api.put_secret(project_id, key_name(wanted.keeper, "project"), self._key)
        for name, key in wanted.keys().items():
            await self._api.put_secret(project_id, name, key)
        command = wanted.command(self._project, secret)
        until: float | None = None
        while True:
            try:
                return await self._api.begin(wanted.keeper, command)
            except KeptElsewhere as error:
                if until is None:
                    until = time.monotonic() + error.after_s + 2
                    self._lines.note(f"{error} Waiting whether it is gone …")
                elif time.monotonic() > until:
                    raise CommandError(f"{error} That run is alive; let it end, or stop it.") from error
            if await self._pause(_LOOK_EVERY_S):
                raise Unfinished("Interrupted before the job began.")

    async def _watch(self, job_id: JobId, longest_s: float) -> JobDetail:
        taken_up_until = time.monotonic() + _TAKEN_UP_WITHIN_S
        job: JobDetail | None = None
        while True:
            started = time.monotonic()
            is_ours = await self._api.stay(self._wanted.keeper, job_id)
            job = await self._api.job(job_id) or job
            if job is not None:
                if self._is_over(job):
                    return job
                self._lines.update(progress_of(job), job.total if job.selected else None)
            elif time.monotonic() > taken_up_until:
                raise Unfinished(f"No dispatcher of {self._api.url} has taken up job {job_id}. See its log.")
            if not is_ours:
                raise CommandError(f"Another equal run of this block has taken over job {job_id}.")
            took_s = time.monotonic() - started
            if await self._pause(min(longest_s, max(_LOOK_EVERY_S, 3 * took_s))):
                return await self._last_look(job_id, job)

    def _is_over(self, job: JobDetail) -> bool:
        if job.state == "rejected":
            raise BadInput(f"The job cannot start: {job.reason}")
        if job.has_ended:
            self._lines.update(progress_of(job), job.total)
        return job.has_ended or job.state == "paused"

    async def _last_look(self, job_id: JobId, job: JobDetail | None) -> JobDetail:
        await self._api.leave(self._wanted.keeper, job_id)
        found = await self._api.job(job_id) or job
        if found is None:
            raise Unfinished("The job was interrupted before it began. Run the block again.")
        return found

    async def _pause(self, seconds: float) -> bool:
        """Wait; answer True where the block is to end."""
        try:
            async with asyncio.timeout(seconds):
                await self._interrupted.wait()
        except TimeoutError:
            return False
        return True


def _complain(facts: ClusterFacts, registration: Registration, url: str) -> None:
    if registration.name not in facts.labelers:
        running = ", ".join(sorted(facts.labelers)) or "none"
        raise CommandError(
            f"No labeler '{registration.name}' runs on the cluster {url} (running: {running}). "
            "Start it there."
        )
    if not facts.seals:
        raise BadInput(
            f"The cluster {url} cannot keep this block's key: its dispatcher has no LABELBUS_SECRET_KEYS. "
            "Make a key with `labelbus secrets key` and give it to every service there."
        )
