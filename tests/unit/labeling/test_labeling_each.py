"""Tasks that are answered one by one: order, faults, and another labeler's parameters."""

import asyncio

import pytest
from labelbus_labeling.each import label_each
from labelbus_labeling.labeler import Labeled, LabelerParameters, LabelTask, Registration
from labelbus_labeling.testing import LabelerConformance
from labelbus_runtime.errors import SampleRefused


class Others(LabelerParameters):
    """The parameters of another labeler."""


@pytest.fixture
def tasks(registration: Registration) -> list[LabelTask]:
    """Return three tasks of a labeler."""

    class Suite(LabelerConformance):
        parameters = (LabelerParameters(),)

    Suite.registration = registration
    return [Suite().task(number) for number in range(3)]


async def test_a_fault_is_the_answer_of_its_task(tasks: list[LabelTask]) -> None:
    """What one task meets is its answer, at its place; the others are answered as if alone."""
    refused = SampleRefused("Sample 1 is gone. Remove it from the job.")

    async def work(task: LabelTask) -> Labeled:
        await asyncio.sleep(0 if task.sample_id else 0.01)  # the first is done last
        if task.sample_id == 1:
            raise refused
        return Labeled(task.draft, model=f"{task.sample_id}")

    first, second, third = await label_each(tasks, work)
    assert isinstance(first, Labeled)
    assert isinstance(third, Labeled)
    assert (first.model, second, third.model) == ("0", refused, "2")


async def test_cancelling_is_no_answer(tasks: list[LabelTask]) -> None:
    """Whoever cancels the batch ends it."""

    async def work(task: LabelTask) -> Labeled:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await label_each(tasks, work)


def test_parameters_of_another_labeler_are_a_bug(tasks: list[LabelTask]) -> None:
    """The labeler's own parameters come typed; another's are told by the step."""
    assert tasks[0].parameters_as(LabelerParameters) is tasks[0].parameters
    with pytest.raises(TypeError, match="#0 was given"):
        tasks[0].parameters_as(Others)
