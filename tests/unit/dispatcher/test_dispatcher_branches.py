"""Actions with branches from their submission to their end, and what is refused before."""

import pytest
from labelbus_contracts.jobs import Selection
from labelbus_contracts.labels import Base, LabelSet, SampleFacts
from labelbus_contracts.v1 import commands
from labelbus_dispatcher.testing import READ_AT, World, action, failed, labeled
from labelbus_ledger.instances import report
from labelbus_ledger.tables import samples

BRANCHED: list[dict[str, object]] = [
    {"labeler": "merge", "branches": [{"labeler": "one"}, {"labeler": "two"}, {"labeler": "one"}]},
    {"labeler": "two"},
]
on_both_databases = pytest.mark.parametrize(
    "ledger", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)


@on_both_databases
async def test_branches_run_one_after_another_and_become_one_draft(world: World) -> None:
    """Each sample passes all branches, then the next step gets what they agreed on; one write each."""
    world.label = lambda command: labeled(command, label="dog" if command.step == 1 else "cat")
    await world.submit(action=action(steps=BRANCHED), selection=Selection(ids=(1, 2)))
    assert await world.states() == {"committed": 2}
    sent = [(one.step, one.labeler) for one in world.labels_sent() if one.sample_id == 1]
    assert sent == [(0, "one"), (1, "two"), (2, "one"), (3, "two")]
    last = next(one for one in world.labels_sent() if one.step == 3)
    assert last.draft is not None
    assert last.draft.label is not None
    assert last.draft.label.label == "cat"
    assert len(world.of(commands.CommitSample)) == 2
    async with world.ledger.read() as conn:
        assert set(
            (await conn.execute(samples.select().with_only_columns(samples.c.gathered))).scalars()
        ) == {None}


async def test_a_branch_that_fails_for_good_fails_its_sample_alone(world: World) -> None:
    """Sample 2's second branch cannot work; sample 1 is written."""
    world.label = lambda command: (
        failed(command, permanent=True) if (command.sample_id, command.step) == (2, 1) else labeled(command)
    )
    await world.submit(action=action(steps=BRANCHED), selection=Selection(ids=(1, 2)))
    assert await world.states() == {"committed": 1, "failed": 1}


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([{"labeler": "merge"}], "Step 0: merge needs branches"),
        (
            [{"labeler": "one"}, {"labeler": "merge", "branches": [{"labeler": "one"}, {"labeler": "x"}]}],
            "Step 1, branch 1: There is no labeler 'x'",
        ),
        (
            [{"labeler": "merge", "branches": BRANCHED[0]["branches"], "parameters": {"iuo": 1}}],
            "Step 0: The parameters of merge are wrong: 'iuo' is unknown (nearest: 'iou')",
        ),
    ],
)
async def test_wrong_branches_reject_the_job(world: World, steps: list[object], said: str) -> None:
    """The reason names step and branch."""
    await world.submit(action=action(steps=steps))
    standing = await world.becomes("rejected")
    assert said in standing.head.reason


async def test_samples_that_no_step_can_work_on_reject_the_job(world: World) -> None:
    """The first samples are audio, and the labelers want images: nothing is sent."""
    facts = SampleFacts(filename="a.wav", kind="audio")
    world.reader.base = Base(sample=facts, labels=LabelSet(), read_at=READ_AT)
    for selection in (Selection(ids=(1, 2)), Selection()):
        world.reader.ids = (1, 2)
        name = f"job {selection.ids}"
        await world.submit(job_id=name, id=name, selection=selection)
        standing = await world.becomes("rejected", name)
        assert "Step 0: one works on images" in standing.head.reason
    assert not world.labels_sent()


async def test_a_labeler_that_only_runs_elsewhere_is_let_in(world: World) -> None:
    """It checks its parameters itself; without an instance that reports it, the job is rejected."""
    await world.submit(job_id="early", id="early", action=action("mine"))
    assert "There is no labeler 'mine'" in (await world.becomes("rejected", "early")).head.reason
    await report(world.ledger, "test", "mine", "there", 4)
    await world.submit(action=action("mine", "one"))
    await world.becomes("running")
