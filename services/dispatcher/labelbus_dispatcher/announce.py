"""What a job's row implies for everybody else: that it was rejected, is paused, or has ended."""

from typing import Literal

from labelbus_contracts.v1 import commands, events
from labelbus_contracts.v1.message import Message, message_id
from labelbus_ledger.job_rows import JobHead

from labelbus_dispatcher.decide import Job

Outcome = Literal["finished", "finished_with_failures", "cancelled"]


def paused(head: JobHead) -> events.JobPaused:
    """Say that a job waits. The id is fixed by the pause: a later one has another."""
    moment = int(head.changed_at * 1000)
    return events.JobPaused(
        id=message_id("job_paused", head.job_id, head.run, moment),
        job_id=head.job_id,
        run=head.run,
        reason=head.reason,
    )


def rejected(head: JobHead) -> events.JobRejected:
    """Say that a job cannot start."""
    return events.JobRejected(
        id=message_id("job_rejected", head.job_id, head.run),
        job_id=head.job_id,
        run=head.run,
        reason=head.reason,
    )


def refused(command: commands.JobCommand, reason: str) -> events.JobRejected:
    """Say that one command about a job cannot be followed; the job is as it was."""
    return events.JobRejected(
        id=message_id("job_rejected", command.job_id, command.id), job_id=command.job_id, reason=reason
    )


def finished(head: JobHead, counts: dict[str, int]) -> events.JobFinished:
    """Say that a job has ended, with its samples by state."""
    outcome: Outcome = "finished"
    if head.state == "cancelled":
        outcome = "cancelled"
    elif head.state == "finished_with_failures":
        outcome = "finished_with_failures"
    return events.JobFinished(
        id=message_id("job_finished", head.job_id, head.run),
        job_id=head.job_id,
        run=head.run,
        project_id=head.project_id,
        outcome=outcome,
        counts=counts,
    )


def finish(job: Job) -> commands.FinishJob:
    """Ask the committer to set the action's metadata."""
    return commands.FinishJob(
        id=message_id("finish_job", job.head.job_id, job.head.run),
        job_id=job.head.job_id,
        run=job.head.run,
        project_id=job.head.project_id,
        secret=job.submit.secret,
        mode=job.submit.mode,
        metadata=job.submit.action.metadata_after,
    )


def implied(head: JobHead, counts: dict[str, int]) -> tuple[Message, ...]:
    """Return what a job's row says by itself, for a command that came again."""
    if head.state == "rejected":
        return (rejected(head),)
    if head.has_ended:
        return (finished(head, counts),)
    return (paused(head),) if head.state == "paused" else ()
