"""What is wrong with a job, told before anything is done for it."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from labelbus_contracts.jobs import ActionSpec, Branch
from labelbus_contracts.labels import LabelingMethod, SampleKind
from labelbus_contracts.v1.commands import SubmitJob
from labelbus_labeling.errors import UnknownLabeler, WrongParameters
from labelbus_labeling.labeler import Registration
from labelbus_labeling.registry import (
    check_fits,
    check_together,
    find,
    frames_per_second,
    validate_parameters,
)

from labelbus_dispatcher.merge import MERGE_REGISTRATION, condition_fault, merge_fault

NO_IDS: Final = "The job has no samples: its list of ids is empty. Give it some."


def complaint(
    submit: SubmitJob, labelers: Mapping[str, Registration], running: Collection[str] = ()
) -> str | None:
    """Return why a job cannot start as it is written, in one sentence and a remedy; None if it can.

    A labeler that is not installed here but is `running` is let in: it checks its parameters itself.
    """
    selection = submit.selection
    if selection.ids == () and not selection.more_follow:
        return NO_IDS
    if selection.sample is not None and selection.more_follow:
        return "A random part needs all ids at once. Send them together, or take the part yourself."
    if selection.limit is not None and (selection.ids is not None or selection.sample is not None):
        return "A limit is for what the data filter finds. Name fewer ids, or take a random part, without it."
    if submit.source_job_id is not None:
        if submit.mode != "apply":
            return "Stored proposals can only be applied. Submit the job with mode apply."
        if selection.ids is not None or selection.more_follow or selection.sample is not None:
            return "Applying a preview takes its whole selection. Leave the ids out."
        return None
    return _action_complaint(submit.action, labelers, running)


def misfit(
    submit: SubmitJob,
    method: LabelingMethod,
    labelers: Mapping[str, Registration],
    kind: SampleKind | None = None,
) -> str | None:
    """Return why the job's labelers cannot work on a project with this labeling method; None if they can.

    With a `kind` its samples are all of it. Of videos that the first step splits, the frames count.
    """
    if submit.source_job_id is not None:
        return None
    if kind == "video" and _splits(submit.action.places[0].work, labelers):
        kind = "image"
    for said, work in _works(submit.action):
        reason = check_fits(labelers[work.labeler], method, kind) if work.labeler in labelers else None
        if reason is not None:
            return f"{said}: {reason}"
    return None


def _splits(work: Branch, labelers: Mapping[str, Registration]) -> bool:
    """Tell whether a labeler asks for videos to be split; one that is not installed here may."""
    if work.labeler not in labelers:
        return True
    registration = labelers[work.labeler]
    return (
        frames_per_second(registration, validate_parameters(registration, work.parameters), "video")
        is not None
    )


def _action_complaint(
    action: ActionSpec, labelers: Mapping[str, Registration], running: Collection[str]
) -> str | None:
    for number, step in enumerate(action.steps):
        if (fault := merge_fault(step) or condition_fault(step.when)) is not None:
            return f"Step {number}: {fault}"
        if step.branches and (wrong := _wrong(step, {step.labeler: MERGE_REGISTRATION})) is not None:
            return f"Step {number}: {wrong}"
    works = list(_works(action))
    for said, work in works:
        is_elsewhere = work.labeler not in labelers and work.labeler in running
        if not is_elsewhere and (wrong := _wrong(work, labelers)) is not None:
            return f"{said}: {wrong}"
    known = [(said, labelers[work.labeler], work) for said, work in works if work.labeler in labelers]
    clash = check_together([(one, validate_parameters(one, work.parameters)) for _, one, work in known])
    return None if clash is None else f"{known[clash.place][0]}: {clash.reason}"


def _wrong(work: Branch, labelers: Mapping[str, Registration]) -> str | None:
    try:
        validate_parameters(find(work.labeler, labelers), work.parameters)
    except (UnknownLabeler, WrongParameters) as error:
        return str(error)
    return None


def _works(action: ActionSpec) -> Iterator[tuple[str, Branch]]:
    """Yield what labelers are sent, with what people call it: a step, or a branch of one."""
    for nr, place in enumerate(action.places):
        said = f"Step {place.step}"
        yield (f"{said}, branch {nr - place.begins}" if place.spec.branches else said), place.work
