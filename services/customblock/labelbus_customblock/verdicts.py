"""What a run means for each of its samples: labeled, failed, or to be tried alone. Pure.

Nothing of a run that failed is believed, so that the result does not depend on which samples shared a run.
"""

from typing import Final

from labelbus_labeling.labeler import Labeled
from labelbus_runtime.errors import RetryLater, SampleRefused

from labelbus_customblock.overlay import DraftedSample
from labelbus_customblock.runs import Run

Verdict = Labeled | RetryLater | SampleRefused
_AGAIN: Final = "Mend the block, then `labelbus jobs resume JOB --retry-failed`."


def verdict(sample: DraftedSample, run: Run, *, model: str) -> Verdict | None:
    """Return what became of one sample. None where another one of the run may be to blame."""
    overlay = run.overlay
    if sample.fault is not None and not sample.touched:
        return sample.fault
    if sample.refusals:
        return SampleRefused(_with(next(iter(sample.refusals.values())), run.said), code="block-write")
    failed = run.code != 0
    if overlay.fault is not None and (failed or not sample.touched):
        return overlay.fault
    if overlay.overreach or failed:
        return _failure(run) if len(overlay.samples) == 1 else _failure_of_all(run)
    return sample.labeled(model)


def _failure_of_all(run: Run) -> RetryLater | None:
    """Return why the block works for no sample at all; None where it came as far as one."""
    if run.overlay.was_asked or run.overlay.overreach or run.was_cut:
        return None
    how = f"with {_how(run.code)}" if run.code is not None else f"by being killed after {run.timeout_s:g} s"
    fact = f"The block ended {how} before it asked for any sample. Mend it, then resume the job."
    return RetryLater(_with(fact, run.said), scope="job", code="block-start")


def _failure(run: Run) -> RetryLater | SampleRefused:
    if run.overlay.overreach:
        return SampleRefused(_with(run.overlay.overreach[0], run.said), code="block-overreach")
    if run.code is None and run.was_cut:
        return RetryLater("Earlier runs of the block left too little time for this one.", code="block-busy")
    if run.code is None:
        fact = f"The block did not end within {run.timeout_s:g} s and was killed. {_AGAIN}"
        return SampleRefused(_with(fact, run.said), code="block-timeout")
    return SampleRefused(
        _with(f"The block ended with {_how(run.code)}. {_AGAIN}", run.said), code="block-failed"
    )


def _how(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"


def _with(fact: str, said: str) -> str:
    return f"{fact} It said:\n{said}" if said else f"{fact} It said nothing."
