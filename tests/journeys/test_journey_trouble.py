"""What goes wrong: bad samples, people, keys, the network, and a Studio that differs from what we think."""

import re
from collections import Counter
from collections.abc import Callable

import pytest
from labelbus_cli.testing import ACTION, World
from labelbus_simulator import Dataset, Fault

Worlds = Callable[..., World]


def test_bad_samples_fail_alone(world: World) -> None:
    """Pictures that cannot be read and ids that are gone fail with a reason each; the rest is written."""
    bad = world.project.add(Dataset.damaged("empty", "not-an-image", "truncated"))
    result = world.run("--apply", "--yes", ids=[*world.ids, *bad, 987654])
    assert result.exit_code == 1, result.output
    assert "8 committed, 4 failed" in result.output
    assert "987654" in result.output
    assert "--retry-failed" in result.output
    said = " ".join(result.output.split())
    assert "Studio holds no bytes for image of sample" in said
    assert sorted(world.written("set-boxes")) == world.ids


def test_failed_samples_can_be_tried_again(world: World) -> None:
    """Once the fault is gone, `jobs resume --retry-failed` finishes the job; nothing is written twice."""
    fault = world.studio.faults.add(Fault("refuse", route="set-boxes", sample_id=world.ids[2]))
    result = world.run("--apply", "--yes")
    assert result.exit_code == 1, result.output
    job = re.search(r"Job ([0-9a-f]{32})", result.output)
    assert job
    world.studio.faults.remove(fault)
    again = world.labelbus("jobs", "resume", job[1][:8], "--retry-failed")
    assert again.exit_code == 0, again.output
    assert Counter(world.written("set-boxes")) == dict.fromkeys(world.ids, 1)


def test_what_a_person_changed_meanwhile_is_held(world: World) -> None:
    """Between preview and apply a person edits a sample: it is left alone, reported, and exit code 1."""
    preview = world.run()
    job = re.search(r"Job ([0-9a-f]{32})", preview.output)
    assert job
    edited = world.ids[3]
    box = {"label": "mine", "x": 1, "y": 1, "width": 9, "height": 9}
    world.project.edit(edited, {"boundingBoxes": [box]})
    applied = world.labelbus("jobs", "apply", job[1], "--yes")
    assert "1 held" in applied.output
    assert "was left alone" in applied.output
    assert f"labelbus jobs apply {job[1][:8]} --on-conflict overwrite" in applied.output
    assert applied.exit_code == 1
    assert world.project.samples[edited].boxes == [box]
    assert sorted(world.written("set-boxes")) == [one for one in world.ids if one != edited]
    overwriting = world.labelbus("jobs", "apply", job[1][:8], "--on-conflict", "overwrite", "--yes")
    assert (overwriting.exit_code, box in world.project.samples[edited].boxes) == (0, False)


def test_proposals_for_a_job_that_studio_lacks_are_not_computed(world: World) -> None:
    """The command says so once, before any picture is read, with exit code 2."""
    result = world.run("--propose-actions", "4242")
    assert (result.exit_code, "no job 4242 in Studio" in result.output) == (2, True)
    assert world.studio.calls.by_route["get-image"] == 0


def test_a_missing_key_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable nothing is asked of Studio."""
    monkeypatch.delenv("EI_PROJECT_API_KEY")
    result = world.run()
    assert result.exit_code == 2
    assert "Missing EI_PROJECT_API_KEY" in result.output
    assert world.studio.calls.total == 0


@pytest.mark.parametrize("status", [200, 401])
def test_a_wrong_key_is_named_and_not_shown(
    make_world: Worlds, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Whatever status Studio gives it: the sentence names the variable, never the key."""
    world = make_world(wrong_key_status=status)
    world.add(1)
    monkeypatch.setenv("EI_PROJECT_API_KEY", "ei_wrong_wrong_wrong")
    result = world.run()
    assert result.exit_code == 2
    assert "EI_PROJECT_API_KEY" in result.output
    assert "ei_wrong" not in result.output


def test_a_text_that_is_no_unicode_is_told(world: World) -> None:
    """Half of an emoji in an action, and an argument of another encoding, end in a sentence."""
    steps = r'[{labeler: owl-vit, parameters: {prompt: "red \ud83d (red, 0.4)"}}]'
    action = world.action_file(f"name: half\nsteps: {steps}\n")
    ran = world.labelbus("run", action)
    assert ran.exit_code == 2 and "no Unicode" in ran.output, ran.output
    arguments = ("--data-ids-file", world.ids_file(), "--prompt", "red \udcff")
    block = world.labelbus("block", "owl-vit", *arguments)
    assert block.exit_code == 1 and "no Unicode" in block.output, block.output


def test_a_key_is_read_from_dotenv(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env` of the current folder gives what the environment lacks."""
    key = world.project.key
    monkeypatch.delenv("EI_PROJECT_API_KEY")
    (world.folder / ".env").write_text(f"EI_PROJECT_API_KEY={key}\n")
    result = world.run("--sample", "1")
    monkeypatch.delenv("EI_PROJECT_API_KEY", raising=False)
    assert result.exit_code == 0, result.output


def test_a_key_revoked_meanwhile_pauses_the_job(world: World) -> None:
    """The job waits with the reason, exit code 1, and goes on when the key is back."""
    number = world.studio.faults.add(Fault("refuse", route="set-boxes", message="Invalid API key", skip=2))
    result = world.run("--apply", "--yes")
    assert result.exit_code == 1, result.output
    assert "paused" in result.output
    world.studio.faults.remove(number)
    again = world.run("--apply", "--yes")
    assert again.exit_code == 0, again.output
    assert "Going on with job" in again.output
    assert Counter(world.written("set-boxes")) == dict.fromkeys(world.ids, 1)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("rate_limit", rate=0.2, retry_after=0.05),
        Fault("error", rate=0.2, status=503),
        Fault("not_json", rate=0.2, status=502),
        Fault("drop", rate=0.2),
        Fault("truncate", rate=0.2),
        Fault("drop", route="set-*", times=5, applied=True),
    ],
    ids=lambda fault: f"{fault.kind}{'-applied' if fault.applied else ''}",
)
def test_faults_of_the_network_change_nothing(world: World, fault: Fault) -> None:
    """With a fifth of all calls lost, every sample still has its boxes and its metadata."""
    clean = world.run("--propose-actions", str(world.project.add_job().id))
    assert clean.exit_code == 0, clean.output
    job = next(iter(world.project.jobs.values()))
    wanted = {sample: changes["boundingBoxes"] for (_, sample), changes in job.proposals.items()}
    world.studio.faults.add(fault)
    result = world.run("--apply", "--yes")
    world.studio.faults.clear()
    assert result.exit_code == 0, result.output
    assert {one: world.project.samples[one].boxes for one in world.ids} == wanted
    assert all("prompt" in world.project.samples[one].metadata for one in world.ids)


@pytest.mark.parametrize(
    "options",
    [
        {"metadata_post": "replace"},
        {"propose_validates": False},
        {"proposal_step": "first"},
        {"unknown_job": "accept"},
        {"max_page_size": 3},
        {"default_page_size": 2},
        {"empty_labels_filter": "nothing"},
        {"empty_labels_filter": "unlabeled"},
        {"boxes_outside": "refuse"},
        {"boxes_outside": "clip"},
        {"processing_media": "empty"},
        {"image_dimensions": "stored"},
        {"wrong_key_status": 401},
        {"proposals_after_job_end": False},
        {"key_dies_with_job": False},
    ],
    ids=lambda options: "-".join(map(str, next(iter(options.items())))),
)
def test_every_open_point_of_studio_ends_right(make_world: Worlds, options: dict[str, object]) -> None:
    """However the real Studio behaves where it is unverified: proposals and writes are equal and complete."""
    world = make_world(**options)
    world.add(4, metadata={"camera": "left"}, rotated=0.5)
    job = world.project.add_job()
    action = world.action_file(f"{ACTION}data:\n  which: unlabeled\n")
    preview = world.labelbus("run", action, "--propose-actions", str(job.id))
    assert "4 proposed" in preview.output
    assert preview.exit_code == 0, preview.output
    proposed = {sample: changes["boundingBoxes"] for (_, sample), changes in job.proposals.items()}
    result = world.run("--apply", "--yes")
    assert result.exit_code == 0, result.output
    assert {one: world.project.samples[one].boxes for one in world.ids} == proposed
    assert all(world.project.samples[one].metadata["camera"] == "left" for one in world.ids)
    assert all(world.project.samples[one].metadata["labeled_by"] == "owlv2" for one in world.ids)
