"""Preview, apply, apply of a preview: what reaches Studio, and what does not."""

import re
import sys
from collections import Counter

import pytest
from labelbus_cli.accuracy import Accuracy, accuracy
from labelbus_cli.testing import ACTION, World, at_a_terminal
from labelbus_contracts.labels import BoundingBox
from labelbus_simulator import Shape


def job_of(text: str) -> str:
    """Return the id of the job that a command named."""
    found = re.search(r"Job ([0-9a-f]{32})", text)
    assert found, text
    return found[1]


def measured(world: World) -> Accuracy:
    """Compare Studio's boxes with what was drawn."""
    total = Accuracy()
    for sample_id, sample in world.project.samples.items():
        drawn = world.project.truth[sample_id]
        wanted = [BoundingBox.model_validate(shape.box()) for shape in drawn if isinstance(shape, Shape)]
        total = total + accuracy([BoundingBox.model_validate(box) for box in sample.boxes], wanted)
    return total


def test_a_preview_changes_nothing(world: World) -> None:
    """Without --apply no write reaches Studio, and the proposals are in the ledger."""
    before = world.state()
    result = world.run()
    assert result.exit_code == 0, result.output
    assert world.state() == before
    assert world.written() == []
    assert "8 proposed" in result.output
    assert "Report: file://" in result.output


def test_apply_writes_the_right_boxes_once(world: World) -> None:
    """Boxes meet the drawn shapes, and every sample is written once."""
    result = world.run("--apply", "--yes")
    assert result.exit_code == 0, result.output
    found = measured(world)
    assert found.precision > 0.85
    assert found.recall > 0.85
    assert Counter(world.written("set-boxes")) == dict.fromkeys(world.ids, 1)
    assert world.project.samples[world.ids[0]].metadata["labeled_by"] == "owlv2"


def test_applying_a_preview_computes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored proposals are written exactly, and no labeler is opened: its model is gone."""
    previewed = world.run("--propose-actions", str(world.project.add_job().id))
    assert previewed.exit_code == 0, previewed.output
    job = next(iter(world.project.jobs.values()))
    proposed = {sample: changes["boundingBoxes"] for (_, sample), changes in job.proposals.items()}
    monkeypatch.setenv("LABELBUS_DETECTOR_MODEL", "/nowhere")
    applied = world.labelbus("jobs", "apply", job_of(previewed.output)[:8], "--yes")
    assert applied.exit_code == 0, applied.output
    held = {one: world.project.samples[one].boxes for one in world.ids}
    assert held == proposed


def test_applying_without_a_terminal_needs_yes(world: World) -> None:
    """Nobody can be asked, so nothing is written."""
    result = world.run("--apply")
    assert result.exit_code == 2
    assert "--yes" in result.output
    assert world.written() == []


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
@pytest.mark.parametrize("answer", [b"n\n", b"\x03"], ids=["n", "ctrl-c"])
def test_a_person_who_says_no_is_obeyed(world: World, answer: bytes) -> None:
    """On a terminal the question names project and counts; n and Ctrl-C end it, and leave no job."""
    code = "from labelbus_cli.main import run; run()"
    command = [sys.executable, "-c", code, "run", world.action_file(), "--apply"]
    said, status = at_a_terminal(command, b"Write to Studio?", answer)
    assert "Project 1 (Shapes): 8 samples, 0 of them have labels already." in said
    assert said.rstrip().endswith("Nothing was written.")
    assert status == 1
    assert world.written() == []
    assert "There is no job yet" in world.labelbus("jobs", "list").output


def test_nothing_is_asked_about_nothing(world: World) -> None:
    """An empty selection ends with exit code 2 before anybody is asked."""
    path = world.folder / "none.yaml"
    path.write_text(ACTION + "data:\n  name_contains: nowhere\n")
    result = world.labelbus("run", str(path), "--apply", "--yes")
    assert (result.exit_code, "There is nothing to write." in result.output) == (2, True)


def test_a_sample_of_the_data_filter_is_labeled(world: World) -> None:
    """Without ids the action's filter chooses, and --sample takes a repeatable part of it."""
    world.project.samples[world.ids[0]].category = "testing"
    path = world.folder / "filtered.yaml"
    path.write_text(ACTION + "data:\n  category: training\n")
    assert "7 proposed" in world.labelbus("run", str(path)).output
    first = world.labelbus("run", str(path), "--sample", "3", "--seed", "1")
    assert "3 proposed" in first.output


def test_a_job_that_finds_nothing_says_so(world: World) -> None:
    """No table of labels is no riddle."""
    path = world.folder / "strict.yaml"
    path.write_text(ACTION.replace("0.45", "1.0"))
    result = world.labelbus("run", str(path), "--sample", "2")
    assert (result.exit_code, "Labels" in result.output) == (0, False)
    assert "None of the 2 proposed samples has a label, before or after." in result.output


def test_jobs_are_listed_shown_and_reported(world: World) -> None:
    """What a run did can be looked up by the beginning of its id, or as the last."""
    job = job_of(world.run().output)
    assert job[:12] in world.labelbus("jobs", "list").output
    assert "8 proposed" in world.labelbus("jobs", "show", job[:6]).output
    assert job in world.labelbus("jobs", "show", "last").output
    assert world.labelbus("jobs", "report", job[:6], "-o", "page.html").exit_code == 0
    assert "data:image/jpeg;base64" in (world.folder / "page.html").read_text()
    assert world.labelbus("jobs", "show", "zzz").exit_code == 2


def test_a_report_that_cannot_be_written_is_named(world: World) -> None:
    """The job is done all the same; the sentence says where the report can be written later."""
    result = world.run("--report", str(world.folder))
    assert (result.exit_code, "8 proposed" in result.output) == (1, True)
    assert f"The report {world.folder} cannot be written: Is a directory." in result.output
    assert "labelbus jobs report" in result.output
