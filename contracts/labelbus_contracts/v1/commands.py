"""Commands: imperative, each handled by one consumer group."""

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from labelbus_contracts.ids import JobId, ProjectId, SampleId, SecretName, StudioJobId
from labelbus_contracts.jobs import (
    MAX_IDS_PER_MESSAGE,
    ActionSpec,
    BudgetUsd,
    CheckAfterS,
    FailureLimit,
    JobMode,
    LabelerName,
    OnConflict,
    Selection,
)
from labelbus_contracts.labels import Base, LabelSet
from labelbus_contracts.v1.message import Message


class JobCommand(Message):
    """What is asked of the dispatcher about one job."""

    job_id: JobId


class SubmitJob(JobCommand):
    """Start a job, or take up again what `job_id` names.

    `source_job_id` applies the stored proposals of that preview without computing anything. `budget_usd` is
    the most that its calls of paid models may cost; it comes before the action's. A base read less than
    `conflict_check_after_s` ago is not read again before the write; None leaves that to the committer.
    """

    kind: Literal["submit_job"] = "submit_job"
    project_id: ProjectId
    secret: SecretName
    action: ActionSpec
    selection: Selection = Selection()
    mode: JobMode = "preview"
    studio_job_id: StudioJobId | None = None
    source_job_id: JobId | None = None
    on_conflict: OnConflict = "hold"
    failure_limit: FailureLimit = FailureLimit()
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    submitted_by: str = ""
    budget_usd: BudgetUsd | None = Field(default=None, exclude_if=lambda budget: budget is None)
    conflict_check_after_s: CheckAfterS | None = Field(default=None, exclude_if=lambda after: after is None)

    @property
    def cap_usd(self) -> float | None:
        """Return what the job may spend: its own budget, or its action's; None is no limit."""
        return self.action.budget_usd if self.budget_usd is None else self.budget_usd


class AddSamples(JobCommand):
    """Bring further ids to a job whose selection said that more follow."""

    kind: Literal["add_samples"] = "add_samples"
    ids: Annotated[tuple[int, ...], Field(max_length=MAX_IDS_PER_MESSAGE)]
    last: bool


class CancelJob(JobCommand):
    """End a job early. What is committed stays; a cancelled job is not resumed."""

    kind: Literal["cancel_job"] = "cancel_job"
    reason: str = ""


class PauseJob(JobCommand):
    """Stop a job for now."""

    kind: Literal["pause_job"] = "pause_job"
    reason: str = ""


class ResumeJob(JobCommand):
    """Go on with a paused job, or try the failed samples of a finished one again (`retry_failed`).

    `budget_usd` replaces the job's budget, what is spent included.
    """

    kind: Literal["resume_job"] = "resume_job"
    retry_failed: bool = False
    budget_usd: BudgetUsd | None = Field(default=None, exclude_if=lambda budget: budget is None)


class SampleCommand(Message):
    """The ids that a command about one sample carries. `run` counts how often the job was opened."""

    job_id: JobId
    run: Annotated[int, Field(ge=1)] = 1
    project_id: ProjectId
    sample_id: SampleId
    attempt: Annotated[int, Field(ge=1)] = 1
    secret: SecretName
    studio_job_id: StudioJobId | None = None


class LabelSample(SampleCommand):
    """Ask a labeler for the next draft of a sample.

    Without a `base` the labeler reads it first; without a `draft` the draft is the base's labels.
    `studio_job_id` is given for Studio's previews: samples are then read with earlier proposals applied.
    """

    kind: Literal["label_sample"] = "label_sample"
    step: Annotated[int, Field(ge=0)] = 0
    labeler: LabelerName
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    base: Base | None = None
    draft: LabelSet | None = None

    @model_validator(mode="after")
    def _draft_needs_base(self) -> Self:
        if self.draft is not None and self.base is None:
            raise ValueError("a draft needs the base it was made from")
        return self


class WriteSample(SampleCommand):
    """The base a draft was computed from, and the draft, both whole."""

    base: Base
    draft: LabelSet
    on_conflict: OnConflict = "hold"


class ProposeSample(WriteSample):
    """Store a proposal; with a `studio_job_id` show it in Studio too. Nothing else is written."""

    kind: Literal["propose_sample"] = "propose_sample"


class CommitSample(WriteSample):
    """Write a draft to Studio, once per sample and job.

    A base younger than `conflict_check_after_s` counts as what Studio holds now.
    """

    kind: Literal["commit_sample"] = "commit_sample"
    conflict_check_after_s: CheckAfterS | None = Field(default=None, exclude_if=lambda after: after is None)


class SplitVideo(SampleCommand):
    """Have Studio split a video into frames, once, and say which samples these are."""

    kind: Literal["split_video"] = "split_video"
    base: Base
    frames_per_second: Annotated[int, Field(ge=1)]
    on_conflict: OnConflict = "hold"


class FinishJob(Message):
    """Set the action's metadata on every sample that the job committed, and answer."""

    kind: Literal["finish_job"] = "finish_job"
    job_id: JobId
    run: Annotated[int, Field(ge=1)] = 1
    project_id: ProjectId
    secret: SecretName
    mode: JobMode
    metadata: dict[str, str] = Field(default_factory=dict)
