"""Events: past tense, for any number of consumers."""

from typing import Annotated, Literal

from pydantic import Field

from labelbus_contracts.ids import JobId, ProjectId, SampleId
from labelbus_contracts.jobs import MAX_IDS_PER_MESSAGE, LabelerName
from labelbus_contracts.labels import Base, LabelPart, LabelSet
from labelbus_contracts.model import Frozen
from labelbus_contracts.v1.message import Message


class Usage(Frozen):
    """What computing an answer took. Cost is in US dollars."""

    seconds: Annotated[float, Field(ge=0)] = 0.0
    input_tokens: Annotated[int, Field(ge=0)] = 0
    output_tokens: Annotated[int, Field(ge=0)] = 0
    cost_usd: Annotated[float, Field(ge=0)] = 0.0


class SampleEvent(Message):
    """The ids that an event about one sample carries."""

    job_id: JobId
    run: Annotated[int, Field(ge=1)] = 1
    project_id: ProjectId
    sample_id: SampleId
    attempt: Annotated[int, Field(ge=1)] = 1


class LabelEvent(SampleEvent):
    """What became of one `LabelSample`."""

    step: Annotated[int, Field(ge=0)] = 0
    labeler: LabelerName


class SampleLabeled(LabelEvent):
    """A labeler made a new draft."""

    kind: Literal["sample_labeled"] = "sample_labeled"
    base: Base
    draft: LabelSet
    model: str | None = None
    usage: Usage = Usage()
    notes: tuple[str, ...] = ()


class SampleFailed(LabelEvent):
    """A labeler could not label the sample.

    `permanent` says that no repetition helps; `retry_after_s` when to come back. `scope` is the job where
    the fault concerns all its samples (a revoked key): the job pauses with the reason. `processing` marks
    a sample that Studio has not finished processing: waiting for it counts as no attempt.
    """

    kind: Literal["sample_failed"] = "sample_failed"
    reason: str
    code: str = "failed"
    permanent: bool = False
    retry_after_s: Annotated[float, Field(ge=0)] | None = None
    scope: Literal["sample", "job"] = "sample"
    base: Base | None = None
    usage: Usage = Usage()


class SampleSkipped(LabelEvent):
    """The job was stopped before the labeler began."""

    kind: Literal["sample_skipped"] = "sample_skipped"
    reason: str


class VideoFound(LabelEvent):
    """The sample is a video, and the step's parameters ask for its frames to be labeled instead."""

    kind: Literal["video_found"] = "video_found"
    base: Base
    frames_per_second: Annotated[int, Field(ge=1)]


class WriteEvent(SampleEvent):
    """What became of one `ProposeSample`, `CommitSample` or `SplitVideo`."""


class SampleProposed(WriteEvent):
    """The proposal is stored, and shown in Studio where that was asked for."""

    kind: Literal["sample_proposed"] = "sample_proposed"


class SampleCommitted(WriteEvent):
    """Studio holds the draft. `changed` names the parts that were written."""

    kind: Literal["sample_committed"] = "sample_committed"
    changed: tuple[LabelPart, ...] = ()


class SampleHeld(WriteEvent):
    """The sample differs from what the proposal was computed from; it waits for a person.

    `by_job` names the job of ours whose commit made the difference, where it was one.
    """

    kind: Literal["sample_held"] = "sample_held"
    reason: str
    differs: tuple[LabelPart, ...] = ()
    by_job: JobId | None = None


class VideoSplit(WriteEvent):
    """Studio has split the video. `frames` are the samples that it made of it; they join the job.

    Many frames come in several events.
    """

    kind: Literal["video_split"] = "video_split"
    frames: Annotated[tuple[int, ...], Field(max_length=MAX_IDS_PER_MESSAGE)] = ()


class WriteRefused(WriteEvent):
    """The write can never succeed."""

    kind: Literal["write_refused"] = "write_refused"
    reason: str
    code: str = "refused"


class WriteDeferred(WriteEvent):
    """Studio is away, or the job stopped; the dispatcher sends the write again later."""

    kind: Literal["write_deferred"] = "write_deferred"
    reason: str
    retry_after_s: Annotated[float, Field(ge=0)] = 0.0
    scope: Literal["sample", "job"] = "sample"


class JobEvent(Message):
    """The ids that an event about a whole job carries."""

    job_id: JobId
    run: Annotated[int, Field(ge=1)] = 1


class JobMetadataSet(JobEvent):
    """The committer finished what `FinishJob` asked. `failed` samples did not get their metadata."""

    kind: Literal["job_metadata_set"] = "job_metadata_set"
    samples: Annotated[int, Field(ge=0)] = 0
    failed: Annotated[int, Field(ge=0)] = 0
    reason: str = ""


class JobRejected(JobEvent):
    """The job cannot start, or a command about it cannot be followed."""

    kind: Literal["job_rejected"] = "job_rejected"
    reason: str


class JobPaused(JobEvent):
    """The job waits; `reason` says why and how to go on."""

    kind: Literal["job_paused"] = "job_paused"
    reason: str


class JobFinished(JobEvent):
    """The job has ended. `counts` are samples by state."""

    kind: Literal["job_finished"] = "job_finished"
    project_id: ProjectId
    outcome: Literal["finished", "finished_with_failures", "cancelled"]
    counts: dict[str, int] = Field(default_factory=dict)
