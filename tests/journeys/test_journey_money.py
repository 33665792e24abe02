"""Money: a budget ends a job, nothing is paid twice, and a run is estimated before it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from labelbus_cli.testing import World
from labelbus_contracts.labels import BoundingBox
from labelbus_contracts.v1.events import Usage
from labelbus_labeling import registry
from labelbus_labeling.labeler import Labeled, Labeler, LabelerParameters, LabelTask, Registration
from labelbus_labeling.paid import Answer, Estimate, digest_of
from labelbus_runtime.errors import RetryLater, SampleRefused

ACTION = "name: paid\nsteps:\n- labeler: asker\n"
WORST = Estimate(200, 20, 0.02)
USAGE = Usage(input_tokens=100, output_tokens=10, cost_usd=0.01)


class NoParameters(LabelerParameters):
    """None."""


@dataclass
class Asker:
    """Asks a model about each picture, and counts how often it really does."""

    calls: int = 0
    fault: RetryLater | None = None

    async def open(self) -> None:
        """Load nothing."""

    async def close(self) -> None:
        """Free nothing."""

    async def label(self, batch: Sequence[LabelTask]) -> Sequence[Labeled | Exception]:
        """Answer every task."""
        return [await self._labeled(task) for task in batch]

    async def _labeled(self, task: LabelTask) -> Labeled | Exception:
        async def call() -> Answer:
            self.calls += 1
            if self.fault is not None:
                raise self.fault
            return Answer("cat", USAGE, "luna-1")

        digest = digest_of(await task.media.image(), "What is it?")
        try:
            answer = await task.paid.ask(
                provider="openai", model="luna", digest=digest, worst=WORST, call=call
            )
        except (RetryLater, SampleRefused) as error:
            return error
        box = BoundingBox(label=answer.text, x=0, y=0, width=9, height=9, source=task.source)
        draft = task.draft.model_copy(update={"boxes": (box,)})
        return Labeled(draft, model=answer.model, usage=answer.usage)


@pytest.fixture
def asker(monkeypatch: pytest.MonkeyPatch) -> Asker:
    """Install the labeler."""
    made = Asker()

    def make(environ: Mapping[str, str]) -> Labeler:
        return made

    kinds = frozenset({"images_object_detection"})
    registration = Registration("asker", "Asks", kinds, NoParameters, make)  # type: ignore[arg-type]
    known = {**registry.installed(), "asker": registration}
    monkeypatch.setattr("labelbus_cli.labelers.installed", lambda: known)
    return made


def test_nothing_is_paid_twice(world: World, asker: Asker) -> None:
    """Running an unchanged action again, in a preview or to write, makes no paid call."""
    action = world.action_file(ACTION)
    assert "8 proposed" in world.labelbus("run", action).output
    assert asker.calls == 8
    assert "8 proposed" in world.labelbus("run", action, "--new").output
    assert "8 committed" in world.labelbus("run", action, "--apply", "--yes").output
    assert asker.calls == 8


def test_answers_are_forgotten_when_they_are_old(world: World, asker: Asker) -> None:
    """Forgetting says how many before it does so; what is forgotten is paid for again."""
    action = world.action_file(ACTION)
    assert "8 proposed" in world.labelbus("run", action).output
    forget = ("ledger", "forget-answers", "--older-than")
    assert "0 of 8 answers are older" in world.labelbus(*forget, "90d", "--dry-run").output
    assert "Forgot 0 answers" in world.labelbus(*forget, "1d12h").output
    assert "8 of 8 answers are older" in world.labelbus(*forget, "0s", "--dry-run").output
    assert "Forgot 8 answers older than 0s; 0 are kept" in world.labelbus(*forget, "0s").output
    assert "8 proposed" in world.labelbus("run", action, "--new").output
    assert asker.calls == 16
    assert "is no time" in world.labelbus(*forget, "ninety").output


def test_a_budget_ends_the_job_and_a_higher_one_goes_on(world: World, asker: Asker) -> None:
    """The job pauses with the reason before the cap is exceeded, and is done once it may spend more."""
    result = world.labelbus("run", world.action_file(ACTION), "--budget", "0.05")
    assert result.exit_code == 1
    assert "is $0.05" in result.output
    assert "--budget USD" in result.output
    assert 1 <= asker.calls <= 5
    result = world.labelbus("jobs", "resume", "last", "--budget", "1")
    assert result.exit_code == 0, result.output
    assert "8 proposed" in result.output
    assert asker.calls == 8


def test_what_was_lost_is_told_as_spent(world: World, asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls without an answer may have been billed: the job says what of its budget they hold."""
    monkeypatch.setenv("LABELBUS_DISPATCHER_ATTEMPTS", "1")
    asker.fault = RetryLater("The model did not answer.", code="timeout")
    result = world.labelbus("run", world.action_file(ACTION), "--budget", "1")
    assert "8 failed" in result.output
    shown = world.labelbus("jobs", "show", "last").output
    assert "budget $1 ($0.1600 held or lost)" in " ".join(shown.split())


def test_estimate_from_a_pilot(world: World, asker: Asker) -> None:
    """Some samples are really asked about; the rest is extrapolated, and Studio is left alone."""
    before = world.state()
    result = world.labelbus("estimate", world.action_file(ACTION), "--pilot", "4", "--seed", "1")
    assert result.exit_code == 0, result.output
    assert "Pilot: 4 samples, 4 paid calls, $0.0400" in result.output
    assert re.search(r"calls +8\n +tokens +880 \(880 to 880\)\n +cost +\$0\.0800", result.output)
    assert world.state() == before
    world.labelbus("run", world.action_file(ACTION))
    assert asker.calls == 8  # the pilot's answers are kept


def test_estimate_for_nothing(world: World, asker: Asker) -> None:
    """Without a pilot nobody is called, no job is left, and every call counts at its worst."""
    result = world.labelbus("estimate", world.action_file(ACTION), "--pilot", "0")
    assert result.exit_code == 0, result.output
    assert re.search(r"calls +8 +\(luna\)\n +tokens +1,760\n +cost +\$0\.1600", result.output)
    assert asker.calls == 0
    assert "asker" not in world.labelbus("jobs", "list").output
