"""The suite for labelers accepts one that behaves, and finds out one that does not."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pytest
from labelbus_contracts.labels import LabelPart, LabelSet
from labelbus_labeling.labeler import Labeled, Labeler, LabelerParameters, LabelTask, Registration
from labelbus_labeling.registry import validate_parameters
from labelbus_labeling.testing import GivenMedia, LabelerConformance, clip, picture

if TYPE_CHECKING:
    from .conftest import FrameLabeler


class TestFrame(LabelerConformance):
    """The labeler of these tests behaves."""

    changes: ClassVar[frozenset[LabelPart]] = frozenset({"boxes"})

    @pytest.fixture(autouse=True)
    def _describe(self, registration: Registration) -> None:
        _describe(type(self), registration)


class Forgetful:
    """A labeler that starts from nothing and answers all in the order of the parameters."""

    def __init__(self, inner: "FrameLabeler") -> None:
        self._inner = inner

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def label(self, batch: Sequence[LabelTask]) -> Sequence[Labeled | Exception]:
        """Forget the drafts, and sort."""
        tasks = [replace(task, draft=LabelSet()) for task in batch]
        return await self._inner.label(sorted(tasks, key=lambda task: str(task.parameters)))


@pytest.mark.parametrize("test", ["test_answers_in_order", "test_keeps_the_rest"])
async def test_finds_faults(labeler: "FrameLabeler", registration: Registration, test: str) -> None:
    """A labeler that forgets drafts and mixes up answers does not pass."""

    class Suite(LabelerConformance):
        changes: ClassVar[frozenset[LabelPart]] = frozenset({"boxes"})

    _describe(Suite, registration)
    bad: Labeler = Forgetful(labeler)
    with pytest.raises(AssertionError):
        await getattr(Suite(), test)(bad)


async def test_media() -> None:
    """The suite's media differ by number, so that a mix-up shows."""
    assert picture(0) != picture(1)
    assert clip(0) != clip(1)
    assert await GivenMedia(b"x").wav() == b"x"


def _describe(suite: type[LabelerConformance], registration: Registration) -> None:
    names: Sequence[tuple[str, int]] = [("cat", 0), ("dog", 5)]
    parameters: list[LabelerParameters] = [
        validate_parameters(registration, {"label": name, "inset": inset}) for name, inset in names
    ]
    suite.registration = registration
    suite.parameters = parameters
