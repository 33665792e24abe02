"""What the HTTP API takes and answers."""

from typing import Annotated

from labelbus_contracts.ids import JobId, ProjectId, SecretName, StudioJobId
from labelbus_contracts.jobs import (
    MAX_IDS_PER_MESSAGE,
    ActionSpec,
    BudgetUsd,
    CheckAfterS,
    FailureLimit,
    JobMode,
    OnConflict,
    Selection,
)
from labelbus_contracts.v1.commands import SubmitJob
from labelbus_contracts.v1.message import message_id
from labelbus_ledger import reports
from labelbus_ledger.tables import ENDED_JOB_STATES, JobState
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from labelbus_dispatcher.recipes import without_ids


class NewJob(BaseModel):
    """A job to start. `secret` names a stored API key (`ledger:<name>`), never the key itself."""

    model_config = ConfigDict(extra="forbid")

    project_id: ProjectId
    secret: SecretName
    action: ActionSpec
    selection: Selection = Selection()
    mode: JobMode = "preview"
    studio_job_id: StudioJobId | None = None
    on_conflict: OnConflict = "hold"
    failure_limit: FailureLimit = FailureLimit()
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    budget_usd: BudgetUsd | None = None
    conflict_check_after_s: CheckAfterS | None = None

    def submit(self, job_id: JobId, caller: str) -> SubmitJob:
        """Return the command that starts the job."""
        fields = {name: getattr(self, name) for name in NewJob.model_fields}
        return SubmitJob(id=message_id("submit_job", job_id), job_id=job_id, submitted_by=caller, **fields)


class KeptJob(NewJob):
    """A job that runs only while its keeper says that it is there. `mark` is alike for equal runs."""

    mark: Annotated[str, Field(min_length=1, max_length=200)]


class Kept(BaseModel):
    """The job that the keeper keeps; `went_on` where an equal run had begun it.

    A keeper that is silent for `silent_s` is gone.
    """

    job_id: JobId
    went_on: bool
    silent_s: float


class MoreSamples(BaseModel):
    """Further ids of a job whose selection said that more follow."""

    ids: Annotated[tuple[int, ...], Field(max_length=MAX_IDS_PER_MESSAGE)]
    last: bool


class NewSecret(BaseModel):
    """A key to seal for one project."""

    secret: Annotated[SecretStr, Field(min_length=1, max_length=10_000)]


class StoredSecret(BaseModel):
    """The name that a job finds a key by."""

    name: SecretName


class ClusterFacts(BaseModel):
    """What a cluster is able to do now: `labelers` by the samples that all of each work on at once."""

    version: str
    labelers: dict[str, int]
    seals: bool


class Accepted(BaseModel):
    """The job, or the command about it, is on its way; `GET /v1/jobs/{job_id}` tells what came of it."""

    job_id: JobId


class Reason(BaseModel):
    """Why some samples failed or are held."""

    state: str
    code: str
    reason: str
    samples: int
    examples: tuple[int, ...]


class JobSummary(BaseModel):
    """One job. Times are unix seconds."""

    job_id: str
    project_id: int
    action: str
    mode: JobMode
    state: JobState
    reason: str
    run: int
    total: int
    created_at: float
    started_at: float | None
    ended_at: float | None

    @property
    def has_ended(self) -> bool:
        """Tell whether the state is final."""
        return self.state in ENDED_JOB_STATES


class JobDetail(JobSummary):
    """One job with its samples by state, the open ones by step, and reasons of failures.

    `submit` is the command that made it, without the ids; `selected` says that no further sample joins.
    """

    carrier: str
    desired_state: str
    selected: bool
    submit: SubmitJob
    counts: dict[str, int]
    open_by_step: dict[int, int]
    failures: tuple[Reason, ...] = ()


class Command(BaseModel):
    """Why a job is paused or cancelled."""

    reason: str = ""


class Resume(BaseModel):
    """`retry_failed` tries the failed samples again; `budget_usd` replaces what the job may spend in all."""

    retry_failed: bool = False
    budget_usd: BudgetUsd | None = None


class Apply(BaseModel):
    """What becomes of samples that changed since the preview, and where the key is found.

    What is absent is as the preview said.
    """

    on_conflict: OnConflict | None = None
    secret: SecretName | None = None


def summary(row: reports.JobLine) -> JobSummary:
    """Return a job's row as the API shows it."""
    return JobSummary(**_fields(row))


def detail(
    row: reports.JobRow, progress: reports.Progress, failures: tuple[reports.FailureGroup, ...] = ()
) -> JobDetail:
    """Return a job with its progress."""
    reasons = tuple(
        Reason(state=one.state, code=one.code, reason=one.reason, samples=one.count, examples=one.examples)
        for one in failures
    )
    more = {name: getattr(row, name) for name in ("carrier", "desired_state", "selected")}
    return JobDetail(
        **_fields(row),
        **more,
        submit=without_ids(row.submit),
        counts=progress.counts,
        open_by_step=progress.open_by_step,
        failures=reasons,
    )


def _fields(row: reports.JobLine) -> dict[str, object]:
    names = ("job_id", "project_id", "mode", "state", "reason", "run", "total")
    times = ("created_at", "started_at", "ended_at")
    return {name: getattr(row, name) for name in (*names, *times)} | {"action": row.action_name}
