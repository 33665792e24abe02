"""What is wrong with a job, told before anything is done for it."""

from collections.abc import Mapping

from labelbus_contracts.labels import LabelingMethod
from labelbus_contracts.v1.commands import SubmitJob
from labelbus_labeling.errors import UnknownLabeler, WrongParameters
from labelbus_labeling.labeler import Registration
from labelbus_labeling.registry import check_fits, find, validate_parameters


def complaint(submit: SubmitJob, labelers: Mapping[str, Registration]) -> str | None:
    """Return why a job cannot start as it is written, in one sentence and a remedy; None if it can."""
    selection = submit.selection
    if selection.ids == () and not selection.more_follow:
        return "The job has no samples: its list of ids is empty. Give it some."
    if selection.sample is not None and selection.more_follow:
        return "A random part needs all ids at once. Send them together, or take the part yourself."
    if submit.source_job_id is not None:
        if submit.mode != "apply":
            return "Stored proposals can only be applied. Submit the job with mode apply."
        if selection.ids is not None or selection.more_follow or selection.sample is not None:
            return "Applying a preview takes its whole selection. Leave the ids out."
        return None
    for place, step in enumerate(submit.action.steps):
        try:
            validate_parameters(find(step.labeler, labelers), step.parameters)
        except (UnknownLabeler, WrongParameters) as error:
            return f"Step {place}: {error}"
    return None


def misfit(submit: SubmitJob, method: LabelingMethod, labelers: Mapping[str, Registration]) -> str | None:
    """Return why the job's labelers cannot work on a project with this labeling method; None if they can."""
    if submit.source_job_id is not None:
        return None
    for place, step in enumerate(submit.action.steps):
        reason = check_fits(find(step.labeler, labelers), method)
        if reason is not None:
            return f"Step {place}: {reason}"
    return None
