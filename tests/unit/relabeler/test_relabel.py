"""Boxes get new labels from what a model sees in them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from labelbus_contracts.labels import LabelPart
from labelbus_labeling.labeler import Labeled, Labeler
from labelbus_labeling.paid import Answer, Estimate
from labelbus_labeling.testing import LabelerConformance
from labelbus_relabeler import relabel
from labelbus_relabeler.parameters import RelabelParameters
from labelbus_runtime.errors import RetryLater, SampleRefused

from .conftest import box, task_of

if TYPE_CHECKING:
    from .conftest import Open, Stand

RED = box("animal", 2, 14, 26, 26)
EMPTY = box("Animal ", 60, 4, 20, 20)
OTHER = box("tree", 50, 40, 10, 10)


def asked(**more: Any) -> RelabelParameters:
    """Return parameters that ask about animals."""
    given = {"which_labels": "animal", "prompt": "What is this?", "disable_labels": "nothing", **more}
    return RelabelParameters.model_validate(given)


@pytest.fixture
async def labeler(opened: "Open") -> AsyncIterator[Labeler]:
    """Give the labeler on the stand-in."""
    yield await opened(relabel())


async def answer(labeler: Labeler, *boxes: Any, **more: Any) -> Labeled:
    """Label one task."""
    (outcome,) = await labeler.label([task_of(asked(**more), *boxes)])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


class TestRelabel(LabelerConformance):
    """The suite of every labeler."""

    registration = relabel()
    parameters: ClassVar = [asked(), asked(prompt="What colour?", allowed_labels="red square, blue circle")]
    changes: ClassVar[frozenset[LabelPart]] = frozenset({"boxes"})


async def test_boxes_are_relabeled_or_removed_in_their_order(labeler: Labeler) -> None:
    """The red square is named, the empty box goes, the box of another label is not asked about."""
    labeled = await answer(labeler, OTHER, RED, EMPTY)
    assert [one.content for one in labeled.draft.boxes] == [OTHER.content, ("red square", 2, 14, 26, 26)]
    assert [one.source for one in labeled.draft.boxes] == [None, "step#0"]
    assert labeled.model == "simulated"
    assert labeled.usage.input_tokens > 0
    assert labeled.usage.output_tokens > 0


@pytest.mark.parametrize("name", ["animal_", "animal.", '"animal"', "*"])
async def test_boxes_are_named_as_they_are_called(labeler: Labeler, name: str) -> None:
    """Signs around a label belong to it, as in the official block: only space and case do not count."""
    called = RED.model_copy(update={"label": f"{name.upper()} "})
    labeled = await answer(labeler, called, EMPTY, which_labels=f" {name},")
    assert [one.label for one in labeled.draft.boxes] == ["red square", "Animal "]


async def test_only_uncertain_boxes_are_asked_about(labeler: Labeler, stand: "Stand") -> None:
    """A sure box, and one without a score, such as a person's, cost nothing and stay."""
    sure, unsure = (RED.model_copy(update={"score": score}) for score in (0.9, 0.4))
    labeled = await answer(labeler, sure, unsure, EMPTY, max_score=0.4)
    assert [one.label for one in labeled.draft.boxes] == ["animal", "red square", "Animal "]
    assert len(stand.desk.requests) == 1


class SettlesLate:
    """Paid calls that settle no answer before two have come, and fail if the second never does."""

    def __init__(self) -> None:
        self._answered = 0
        self._both = asyncio.Event()

    async def ask(
        self,
        *,
        provider: str,
        model: str,
        digest: str,
        worst: Estimate,
        call: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """Call, then wait for the other answer."""
        answer = await call()
        self._answered += 1
        if self._answered == 2:
            self._both.set()
        async with asyncio.timeout(10):
            await self._both.wait()
        return answer


async def test_the_next_box_is_asked_about_while_an_answer_is_settled(
    labeler: Labeler, stand: "Stand"
) -> None:
    """One call at a time is one at the provider; writing down what it cost holds up no other."""
    task = replace(task_of(asked(concurrency=1), RED, EMPTY), paid=SettlesLate())
    (outcome,) = await labeler.label([task])
    assert isinstance(outcome, Labeled)
    assert stand.desk.most_in_flight == 1


async def test_a_box_beyond_the_image_is_cut_and_one_outside_goes(labeler: Labeler) -> None:
    """What is asked about and written is the part inside; what has none is removed with a note."""
    labeled = await answer(labeler, box("animal", -10, 10, 40, 500), box("animal", 96, 0, 5, 5))
    assert [one.content for one in labeled.draft.boxes] == [("red square", 0, 10, 30, 54)]
    assert "outside the image" in labeled.notes[0]


@pytest.mark.parametrize(
    "said",
    [
        "Cat",
        " cat \n",
        '"Cat."',
        "**cat**",
        "`cat`...",
        "```\ncat\n```",
        "- cat",
        '{"label": "cat"}',
        "“Cat”.",
    ],
)
async def test_wrapping_is_taken_off(labeler: Labeler, stand: "Stand", said: str) -> None:
    """Space, case, quotes, Markdown and dots are no part of a label."""
    stand.says(said)
    assert (await answer(labeler, RED)).draft.boxes[0].label == "cat"
    stand.says(said)
    assert (await answer(labeler, RED, disable_labels='"CAT".')).draft.boxes == ()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "empty"),
        ("cat\ndog\nbird", "several"),
        ("cat, dog, bird, cow, pig, hen, fox, owl, bee, ant", "several"),
        ("кошка", "script"),
        ("I'm sorry, I can't help with that.", "refusal|several"),
        ("a " * 80, "sentence"),
    ],
)
async def test_useless_answers_are_asked_for_again_then_refused(
    labeler: Labeler, stand: "Stand", said: str, why: str
) -> None:
    """One useless answer is no matter; two are the sample's failure, with what was answered."""
    stand.says(said)
    assert (await answer(labeler, RED)).draft.boxes[0].label == "red square"
    stand.says(said, said)
    with pytest.raises(SampleRefused, match=why) as refused:
        await answer(labeler, RED)
    assert all(word in refused.value.reason for word in said.split()[:1])
    assert len(refused.value.reason) < 500


async def test_allowed_labels_are_enforced(labeler: Labeler, stand: "Stand") -> None:
    """The schema names them and the removing ones; another answer is useless; the spelling is ours."""
    labeled = await answer(labeler, RED, allowed_labels="Red Square, dog")
    assert labeled.draft.boxes[0].label == "Red Square"
    form = stand.desk.requests[-1]["response_format"]["json_schema"]
    assert form["strict"] is True
    assert form["schema"]["properties"]["label"]["enum"] == ["Red Square", "dog", "nothing"]
    stand.says('{"label": "cow"}', "no JSON")
    with pytest.raises(SampleRefused, match="not JSON"):
        await answer(labeler, RED, allowed_labels="Red Square, dog")


async def test_one_failing_box_fails_its_sample_only(labeler: Labeler, stand: "Stand") -> None:
    """The other boxes' answers are awaited, and the other sample is labeled."""
    stand.fails(400, "invalid_image", "You uploaded an unsupported image")
    first, second = await labeler.label([task_of(asked(), RED, RED), task_of(asked(), RED)])
    outcomes = sorted([first, second], key=lambda one: isinstance(one, Labeled))
    assert isinstance(outcomes[0], SampleRefused)
    assert isinstance(outcomes[1], Labeled)
    assert len(stand.desk.requests) == 3


async def test_a_fault_of_the_job_comes_first(labeler: Labeler, stand: "Stand") -> None:
    """Where one box is refused and another finds no quota, the job is what waits."""
    stand.fails(400, "invalid_image")
    stand.fails(429, "insufficient_quota")
    with pytest.raises(RetryLater) as fault:
        await answer(labeler, RED, RED)
    assert fault.value.scope == "job"


async def test_concurrency_bounds_the_calls_of_a_job(labeler: Labeler, stand: "Stand") -> None:
    """Of twelve boxes in three samples, two are asked about at a time."""
    stand.desk.latency_s = 0.01
    tasks = [task_of(asked(concurrency=2), RED, RED, RED, RED) for _ in range(3)]
    assert all(isinstance(one, Labeled) for one in await labeler.label(tasks))
    assert stand.desk.most_in_flight == 2
