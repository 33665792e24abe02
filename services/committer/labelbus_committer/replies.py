"""The committer's answers to one write command, with fixed ids."""

from collections.abc import Iterable
from typing import Final, Literal, TypedDict

from labelbus_contracts.ids import JobId, MessageId, ProjectId, SampleId
from labelbus_contracts.labels import LabelPart
from labelbus_contracts.v1.commands import SampleCommand
from labelbus_contracts.v1.events import (
    SampleCommitted,
    SampleHeld,
    SampleProposed,
    VideoSplit,
    WriteDeferred,
    WriteEvent,
    WriteRefused,
)
from labelbus_contracts.v1.message import message_id
from labelbus_runtime.errors import RetryLater, SampleRefused

RETRY_AFTER_S: Final = 10.0
"""When to come back where Studio does not say."""
_SHOWN: Final[dict[LabelPart, str]] = {
    "label": "label",
    "boxes": "boxes",
    "ranges": "ranges",
    "label_map": "label map",
    "disabled": "disabled flag",
    "metadata": "metadata",
}


class _Ids(TypedDict):
    id: MessageId
    job_id: JobId
    run: int
    project_id: ProjectId
    sample_id: SampleId
    attempt: int


def proposed(command: SampleCommand) -> SampleProposed:
    """Say that the proposal is stored."""
    return SampleProposed(**_ids("sample_proposed", command))


def committed(command: SampleCommand, changed: Iterable[LabelPart]) -> SampleCommitted:
    """Say that Studio holds the draft."""
    return SampleCommitted(**_ids("sample_committed", command), changed=tuple(changed))


def split(command: SampleCommand, frames: Iterable[int], at: int) -> VideoSplit:
    """Say which frames Studio made of a video, from the `at`-th on."""
    ids = _ids("video_split", command)
    return VideoSplit(**ids | {"id": MessageId(f"{ids['id']}:{at}")}, frames=tuple(frames))


def held(command: SampleCommand, differs: tuple[LabelPart, ...], by_job: JobId | None) -> SampleHeld:
    """Say that the sample has changed since the proposal was computed."""
    whose = f"by job {by_job}" if by_job else "by somebody"
    reason = (
        f"Sample {command.sample_id} of project {command.project_id} was changed {whose} since it was read "
        f"({shown(differs)}). Look at it, then run it again or overwrite it."
    )
    return SampleHeld(**_ids("sample_held", command), reason=reason, differs=differs, by_job=by_job)


def refused(command: SampleCommand, error: SampleRefused, written: Iterable[LabelPart] = ()) -> WriteRefused:
    """Say that the write can never succeed, and what of it was written before that was known."""
    reason = error.reason
    if parts := shown(written):
        reason = f"{reason} Written before that: {parts}."
    return WriteRefused(**_ids("write_refused", command), reason=reason, code=error.code)


def deferred(
    command: SampleCommand,
    reason: str,
    *,
    after_s: float = RETRY_AFTER_S,
    scope: Literal["sample", "job"] = "sample",
) -> WriteDeferred:
    """Say when to send the write again."""
    return WriteDeferred(
        **_ids("write_deferred", command), reason=reason, retry_after_s=max(0.0, after_s), scope=scope
    )


def stopped(command: SampleCommand) -> WriteDeferred:
    """Say that the job does not run."""
    return deferred(command, f"Job {command.job_id} does not run. Resume it to go on.", after_s=0.0)


def answer(
    command: SampleCommand, error: RetryLater | SampleRefused, written: Iterable[LabelPart] = ()
) -> WriteEvent:
    """Say what an error means for the write."""
    if isinstance(error, SampleRefused):
        return refused(command, error, written)
    after_s = RETRY_AFTER_S if error.after_s is None else error.after_s
    return deferred(command, error.reason, after_s=after_s, scope=error.scope)


def shown(parts: Iterable[LabelPart]) -> str:
    """Return parts as people read them."""
    return ", ".join(_SHOWN[part] for part in parts)


def _ids(kind: str, command: SampleCommand) -> _Ids:
    return {
        "id": message_id(kind, command.job_id, command.run, command.sample_id, command.attempt),
        "job_id": command.job_id,
        "run": command.run,
        "project_id": command.project_id,
        "sample_id": command.sample_id,
        "attempt": command.attempt,
    }
