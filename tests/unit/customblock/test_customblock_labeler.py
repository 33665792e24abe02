"""The labeler `custom-block`: real programs, a simulated Studio, and what becomes of each sample."""

import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pytest
from labelbus_contracts.ids import JobId
from labelbus_contracts.labels import BoundingBox, ClassLabel, LabelPart
from labelbus_customblock import registration
from labelbus_customblock.labeler import CustomBlockLabeler
from labelbus_customblock.parameters import CustomBlockParameters
from labelbus_customblock.settings import CustomBlockSettings
from labelbus_labeling.labeler import Labeled, LabelTask, Registration
from labelbus_labeling.testing import GivenMedia, LabelerConformance
from labelbus_runtime.errors import RetryLater, SampleRefused, Unavailable
from labelbus_studio.client import StudioClient

if TYPE_CHECKING:
    from .conftest import Bench

SECRET = "hf_very-secret-value"
ADD_A_BOX = "for one in ids:\n    boxes(one, sample(one)['boundingBoxes'] + [BOX])\n"
LOOK = """\
for one in ids:
    image = raw("GET", f"{P}/raw-data/{one}/image")
    if image.startswith(b'{'):
        continue
    if image[:4] not in (b'\\x89PNG', b'RIFF'):
        sys.exit(f"{one} is neither a picture nor a clip")
    boxes(one, [*sample_boxes.get(one, []), BOX | {"width": len(ids) and 30, "label": sys.argv[1]}])
"""


class TestConformance(LabelerConformance):
    """A block that looks at images passes the suite that every labeler passes."""

    registration: ClassVar[Registration] = registration()
    changes: ClassVar[frozenset[LabelPart]] = frozenset({"boxes"})

    @pytest.fixture(autouse=True)
    def _reach(self, bench: "Bench", reaching: Callable[[LabelTask], LabelTask]) -> None:
        head = "sample_boxes = {one: sample(one)['boundingBoxes'] for one in ids if one}\n"
        made = bench.block(head + LOOK)
        words = made.command
        type(self).parameters = [made.model_copy(update={"command": (*words, label)}) for label in "ab"]
        self._reaching = reaching

    def task(self, number: int, **more: object) -> LabelTask:
        """Return a task that reaches the simulated Studio."""
        return self._reaching(super().task(number, **more))  # type: ignore[arg-type]


async def outcomes(labeler: CustomBlockLabeler, tasks: Sequence[LabelTask]) -> list[Labeled | Exception]:
    """Label a batch."""
    return list(await labeler.label(tasks))


async def test_a_run_that_cannot_begin_leaves_the_others_alone(
    bench: "Bench", labeler: CustomBlockLabeler
) -> None:
    """Of two jobs in a batch the one whose key cannot be read waits; the other's block runs once."""
    parameters = bench.block(ADD_A_BOX + "open(sys.argv[0] + '.runs', 'a').write('x')\n")
    one, other = bench.tasks(parameters, 2)

    async def away() -> StudioClient:
        raise Unavailable("The ledger is away.")

    waiting = replace(other, job_id=JobId("other"), own_studio=away)
    found = await outcomes(labeler, [one, waiting])
    assert [type(outcome) for outcome in found] == [Labeled, Unavailable]
    assert (bench.folder / "block.py.runs").read_text() == "x"


async def test_files_that_cannot_be_deleted_cost_no_sample(
    bench: "Bench", labeler: CustomBlockLabeler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's root may write folders next to the ids file that its user here cannot delete."""

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(tempfile, "tempdir", str(bench.folder))
    monkeypatch.setattr(os, "rmdir", denied)
    outcome = (await outcomes(labeler, bench.tasks(bench.block(ADD_A_BOX), 1)))[0]
    monkeypatch.undo()
    assert isinstance(outcome, Labeled)


async def test_a_block_builds_on_the_steps_before(bench: "Bench", labeler: CustomBlockLabeler) -> None:
    """It reads the draft in place of what Studio holds; boxes that it hands back keep score and source."""
    before = BoundingBox(label="old", x=5, y=5, width=9, height=9, score=0.7, source="owl-vit#0")
    task = bench.task(bench.block(ADD_A_BOX), 1, boxes=(before,), metadata={"prompt": "a thing"})
    (one,) = await outcomes(labeler, [task])
    assert isinstance(one, Labeled)
    assert one.draft.boxes[0] == before
    assert (one.draft.boxes[1].label, one.draft.boxes[1].score) == ("thing", None)
    assert one.draft.boxes[1].source == "custom-block#1"
    assert one.draft.metadata == {"prompt": "a thing"}
    assert not bench.studio.calls.writes


async def test_what_a_block_leaves_alone_stays(bench: "Bench", labeler: CustomBlockLabeler) -> None:
    """A sample of which the block says nothing comes back as it was, with a note."""
    parameters = bench.block("boxes(ids[0], [BOX])")
    first, second = await outcomes(labeler, bench.tasks(parameters, 2))
    assert isinstance(first, Labeled)
    assert isinstance(second, Labeled)
    assert (len(first.draft.boxes), len(second.draft.boxes)) == (1, 0)
    assert "wrote nothing" in second.notes[0]


async def test_one_exit_fails_one_sample(bench: "Bench", labeler: CustomBlockLabeler) -> None:
    """Where a run fails, each of its samples is tried alone; the error has the last lines."""
    script = "for one in ids:\n    sample(one)\n    if one == 2: sys.exit('bad 2')\n    boxes(one, [BOX])\n"
    found = await outcomes(labeler, bench.tasks(bench.block(script), 3))
    assert [type(one) for one in found] == [Labeled, SampleRefused, Labeled]
    assert "exit code 1" in str(found[1])
    assert "bad 2" in str(found[1])


async def test_a_hang_fails_one_sample(bench: "Bench", labeler: CustomBlockLabeler) -> None:
    """A run that takes too long is killed with its children, and its samples are tried alone."""
    script = "import subprocess\nfor one in ids:\n    sample(one)\n"
    script += "    if one == 2: subprocess.run(['sleep', '600'])\n    boxes(one, [BOX])\n"
    found = await outcomes(labeler, bench.tasks(bench.block(script, timeout_s=1.5), 2))
    assert isinstance(found[0], Labeled)
    assert isinstance(found[1], SampleRefused)
    assert found[1].code == "block-timeout"
    assert "did not end within 1.5 s" in str(found[1])


async def test_a_block_that_cannot_work_pauses_the_job(bench: "Bench", labeler: CustomBlockLabeler) -> None:
    """Where it fails before it asks for any sample, no sample is to blame, and nothing is tried again."""
    parameters = bench.block(
        "print('no module'); open('ran', 'a').write('x'); sys.exit(1)", folder=str(bench.folder)
    )
    found = await outcomes(labeler, bench.tasks(parameters, 3))
    assert all(isinstance(one, RetryLater) and one.scope == "job" for one in found)
    assert "no module" in str(found[0])
    assert (bench.folder / "ran").read_text() == "x"


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        ("ask('DELETE', f'{P}/raw-data/{one}')", "tried DELETE /api/1/raw-data/2"),
        ("ask('POST', f'{P}/raw-data/{one}/rename', {'name': 'x'})", "tried POST /api/1/raw-data/2/rename"),
        ("ask('POST', P, {'name': 'mine'})", "tried POST /api/1."),
        ("ask('POST', f'{P}/raw-data/7/edit-label', {'label': 'x'})", "not in its ids file"),
        ("ask('POST', '/api/99/raw-data/7/edit-label', {'label': 'x'})", "tried POST /api/99"),
        ("ask('POST', '/api/training/files', {})", "tried POST /api/training/files"),
        ("ask('POST', f'{P}/raw-data/batch/disable-samples?category=all', {})", "by a filter"),
        ("boxes(one, [BOX | {'width': 'wide'}])", "boundingBoxes[0].width is 'wide'"),
        ("boxes(one, [BOX | {'height': 0}])", "both must be above 0"),
        ("boxes(one, None)", "boundingBoxes is missing"),
        ("ask('POST', f'{P}/raw-data/{one}/propose-changes', {'jobId': 1})", "proposedChanges is missing"),
        ("boxes(one, [BOX | {'label': os.environ['TOKEN']}])", "value of the secret TOKEN"),
    ],
)
async def test_unexpected_writes_fail_their_sample(
    bench: "Bench", labeler: CustomBlockLabeler, attempt: str, said: str
) -> None:
    """Whatever a block may not do is refused and named; the sample fails although the block goes on."""
    script = f"for one in ids:\n    boxes(one, [BOX])\n    if one == 2: {attempt}\n"
    parameters = bench.block(script, secrets={"TOKEN": "env:X"})
    found = await outcomes(labeler, bench.tasks(parameters, 3))
    assert [type(one) for one in found] == [Labeled, SampleRefused, Labeled]
    assert said in str(found[1])
    assert SECRET not in str(found[1])
    assert not bench.studio.calls.writes
    assert len(bench.project.samples) == 8


async def test_secrets_are_handed_over_and_not_shown(bench: "Bench", labeler: CustomBlockLabeler) -> None:
    """The block has its secret, but neither the project's key nor the process's; errors show none."""
    script = "print(json.dumps(dict(os.environ)), KEY)\nsample(ids[0])\nsys.exit(1)\n"
    parameters = bench.block(script, secrets={"TOKEN": "env:X"}, environment={"MODE": "fast"})
    (one,) = await outcomes(labeler, bench.tasks(parameters, 1))
    assert isinstance(one, SampleRefused)
    told = str(one)
    assert '"TOKEN": "***"' in told
    assert '"EI_PROJECT_API_KEY": "***"' in told
    assert '"MODE": "fast"' in told
    assert not [one for one in (SECRET, "ei_444", "sk-of", "sealed") if one in told]


async def test_faults_of_studio_are_no_fault_of_the_block(
    bench: "Bench", labeler: CustomBlockLabeler
) -> None:
    """Where Studio's key is refused meanwhile, the job pauses for that."""
    bench.studio.revoke("ei_" + "4" * 32)
    found = await outcomes(labeler, bench.tasks(bench.block("sample(ids[0])"), 2))
    assert all(isinstance(one, RetryLater) and one.code == "key" for one in found)


async def test_a_sample_that_is_gone_fails_as_gone(bench: "Bench", labeler: CustomBlockLabeler) -> None:
    """A block that stumbles over a deleted sample fails that one, with Studio's reason."""
    del bench.project.samples[2]
    found = await outcomes(labeler, bench.tasks(bench.block(ADD_A_BOX), 3))
    assert [type(one) for one in found] == [Labeled, SampleRefused, Labeled]
    assert "gone from project" in str(found[1])


async def test_a_command_that_is_not_there_pauses_the_job(
    labeler: CustomBlockLabeler, bench: "Bench"
) -> None:
    """The reason names it."""
    parameters = CustomBlockParameters.model_validate({"command": "no-such-program --fast"})
    (one,) = await outcomes(labeler, [bench.task(parameters, 1)])
    assert isinstance(one, RetryLater)
    assert one.scope == "job"
    assert "'no-such-program' cannot be started" in str(one)


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "PYTHONPATH", "NODE_OPTIONS", "BASH_ENV"])
async def test_variables_make_no_other_program_of_an_allowed_command(bench: "Bench", name: str) -> None:
    """Where an operator lists commands, an action names none that says what these load or run."""
    parameters = bench.block(ADD_A_BOX, environment={name: "/tmp/mine"})
    allowed = shlex.join(parameters.command)
    for commands, passes in ((allowed, False), (f"{allowed}; *", True)):
        made = CustomBlockLabeler(CustomBlockSettings(commands=commands), {})
        await made.open()
        (outcome,) = await outcomes(made, bench.tasks(parameters, 1))
        await made.close()
        refused = isinstance(outcome, RetryLater) and outcome.code == "block-command"
        assert refused is not passes
        assert passes or name in str(outcome)


async def test_workers_run_what_their_operator_allows(bench: "Bench", environ: dict[str, str]) -> None:
    """A worker without a list runs nothing; one with it runs what begins with its words."""
    task = bench.task(bench.block(ADD_A_BOX), 1)
    for commands, runs in (("", False), ("python evil.py", False), (f"a b; {sys.executable} -S", True)):
        worker = CustomBlockLabeler(CustomBlockSettings(commands=commands), environ)
        await worker.open()
        (one,) = await worker.label([task])
        await worker.close()
        assert isinstance(one, Labeled if runs else RetryLater)
    assert "LABELBUS_CUSTOM_BLOCK_COMMANDS" in str(
        (await CustomBlockLabeler(CustomBlockSettings(), {}).label([task]))[0]
    )


async def test_a_proposal_replaces_the_one_before(bench: "Bench", labeler: CustomBlockLabeler) -> None:
    """Proposed parts replace what the draft has; null keeps; the block reads it back from the preview."""
    script = """
changes = {"label": "cat", "metadata": {"by": "block"}, "isDisabled": True, "boundingBoxes": None}
for body in ({"label": "dog"}, changes):
    ask("POST", f"{P}/raw-data/1/propose-changes", {"jobId": 1, "proposedChanges": body})
shown = ask("GET", f"{P}/raw-data/ai-actions-preview/1/proposed-changes")["proposedChanges"]
assert [one["proposedChanges"]["label"] for one in shown] == ["cat"], shown
assert sample(1)["isDisabled"] and sample(1)["label"] == "cat" and sample(1)["metadata"] == {"by": "block"}
"""
    task = bench.task(
        bench.block(script), 1, metadata={"kept": "no"}, label=ClassLabel(label="bird", score=0.4)
    )
    (one,) = await outcomes(labeler, [task])
    assert isinstance(one, Labeled), one
    assert one.draft.label == ClassLabel(label="cat", source="custom-block#1")
    assert one.draft.metadata == {"by": "block"}
    assert one.draft.disabled


async def test_boxes_end_at_the_image(bench: "Bench", labeler: CustomBlockLabeler) -> None:
    """New boxes are clipped; what is wholly outside is left out with a note; fractions are rounded."""
    script = "boxes(1, [BOX | {'x': 90.4, 'width': 50.0}, BOX | {'x': 500}])"
    (one,) = await outcomes(labeler, bench.tasks(bench.block(script), 1))
    assert isinstance(one, Labeled)
    assert [box.content for box in one.draft.boxes] == [("thing", 90, 2, 6, 20)]
    assert one.notes == ("Boxes outside of the image, left out: 1.",)


async def test_runs_share_samples(bench: "Bench", labeler: CustomBlockLabeler) -> None:
    """A run gets as many samples as it may; the ids file is of the form that the block reads."""
    script = "ids = ids['ids']\nfor one in ids: boxes(one, [BOX | {'label': str(len(ids))}])"
    parameters = bench.block(script, samples_per_run=4, ids_form="object")
    found = await outcomes(labeler, bench.tasks(parameters, 6))
    assert [one.draft.boxes[0].label for one in found if isinstance(one, Labeled)] == ["3"] * 6


async def test_a_sample_that_comes_twice(bench: "Bench", labeler: CustomBlockLabeler) -> None:
    """A repeated message is answered too, from a run of its own."""
    task = bench.task(bench.block(ADD_A_BOX), 1)
    found = await outcomes(labeler, [task, task])
    assert [len(one.draft.boxes) for one in found if isinstance(one, Labeled)] == [1, 1]


async def test_samples_that_do_not_suit_the_block(bench: "Bench", labeler: CustomBlockLabeler) -> None:
    """They fail unseen."""
    (one,) = await outcomes(labeler, [bench.task(bench.block("", operates_on=["audio"]), 1)])
    assert isinstance(one, SampleRefused)
    assert one.code == "unfit"


async def test_no_time_left_is_no_failure(bench: "Bench", environ: dict[str, str]) -> None:
    """Samples that nobody came to are sent again."""
    worker = CustomBlockLabeler(CustomBlockSettings(commands="*"), environ, within_s=0.5)
    await worker.open()
    (one,) = await worker.label([bench.task(bench.block(ADD_A_BOX), 1)])
    await worker.close()
    assert isinstance(one, RetryLater)
    assert one.code == "block-busy"


async def test_media_that_cannot_be_read_is_the_answer(bench: "Bench", labeler: CustomBlockLabeler) -> None:
    """Why the bytes cannot be had is told, not that the block stumbled over it."""
    gone = SampleRefused("Sample 1 has no bytes.")
    script = "answer = json.loads(raw('GET', f'{P}/raw-data/1/image'))\nsys.exit(answer['error'])"
    task = replace(bench.task(bench.block(script), 1), media=GivenMedia(b"", gone))
    assert await outcomes(labeler, [task]) == [gone]


def test_the_arguments_are_kept_as_json() -> None:
    """Truth values, numbers and texts of the block's own parameters come back as they were given."""
    given = {"command": "a 'b c'", "arguments": {"--nms": True, "limit": 1, "iou": 0.5, "text": "1"}}
    parameters = CustomBlockParameters.model_validate(json.loads(json.dumps(given)))
    assert parameters.command == ("a", "b c")
    assert parameters.arguments == {"nms": True, "limit": 1, "iou": 0.5, "text": "1"}
