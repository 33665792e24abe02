"""What a labeler's worker answers to a `LabelSample`, with fixed ids."""

from typing import TypedDict

from labelbus_contracts.ids import JobId, MessageId, ProjectId, SampleId
from labelbus_contracts.labels import Base
from labelbus_contracts.v1.commands import LabelSample
from labelbus_contracts.v1.events import SampleFailed, SampleLabeled, SampleSkipped, Usage, VideoFound
from labelbus_contracts.v1.message import message_id
from labelbus_runtime.errors import RetryLater, SampleRefused

from labelbus_labeling.labeler import Labeled


def labeled(command: LabelSample, base: Base, outcome: Labeled) -> SampleLabeled:
    """Answer with a draft."""
    return SampleLabeled(
        **_addressed("sample_labeled", command),
        base=base,
        draft=outcome.draft,
        model=outcome.model,
        usage=outcome.usage,
        notes=outcome.notes,
    )


def failed(
    command: LabelSample, error: RetryLater | SampleRefused, *, base: Base | None, usage: Usage
) -> SampleFailed:
    """Answer with what went wrong: for good, or for now."""
    again = error if isinstance(error, RetryLater) else None
    return SampleFailed(
        **_addressed("sample_failed", command),
        reason=error.reason,
        code=error.code,
        permanent=again is None,
        retry_after_s=None if again is None else again.after_s,
        scope="sample" if again is None else again.scope,
        base=base,
        usage=usage,
    )


def video_found(command: LabelSample, base: Base, fps: int) -> VideoFound:
    """Answer that the sample is a video to be split first."""
    return VideoFound(
        **_addressed("video_found", command),
        base=base,
        frames_per_second=fps,
    )


def skipped(command: LabelSample) -> SampleSkipped:
    """Answer that the job does not run."""
    return SampleSkipped(
        **_addressed("sample_skipped", command),
        reason=f"Job {command.job_id} does not run.",
    )


class _Address(TypedDict):
    """What every answer repeats of its command."""

    id: MessageId
    job_id: JobId
    run: int
    project_id: ProjectId
    sample_id: SampleId
    attempt: int
    step: int
    labeler: str


def _addressed(kind: str, command: LabelSample) -> _Address:
    ids = (command.job_id, command.run, command.sample_id, command.step, command.attempt)
    return _Address(
        id=message_id(kind, *ids),
        job_id=command.job_id,
        run=command.run,
        project_id=command.project_id,
        sample_id=command.sample_id,
        attempt=command.attempt,
        step=command.step,
        labeler=command.labeler,
    )
