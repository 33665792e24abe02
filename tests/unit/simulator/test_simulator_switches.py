"""Each open question about the real Studio, answered both ways."""

from typing import Any

import pytest
from labelbus_simulator import SimulatorOptions, Studio
from labelbus_simulator.models import answer_with_boxes

OUTSIDE = {"label": "cat", "x": -5, "y": 0, "width": 10, "height": 10}
CLIPPED = {"label": "cat", "x": 0, "y": 0, "width": 5, "height": 10}


@pytest.mark.parametrize(("switch", "largest"), [("ratio", 1.0), ("pixel", 400.0)])
def test_classified_boxes_are_ratios_or_pixels(served: Any, switch: str, largest: float) -> None:
    """Ratios stay below one."""
    served.studio.set_options(classify_boxes=switch)
    served.project.classify = answer_with_boxes
    files = {"image": ("a.jpg", served.project.samples[1].content.data(), "image/jpeg")}
    boxes = served.http.post("/api/1/classify/image", files=files).json()["boundingBoxes"]
    widest = max(box["width"] for box in boxes)
    assert widest <= largest
    assert (widest > 1) == (switch == "pixel")


@pytest.mark.parametrize(("switch", "expected"), [("merge", {"a": "1", "b": "2"}), ("replace", {"b": "2"})])
def test_metadata_is_merged_or_replaced(served: Any, switch: str, expected: dict[str, str]) -> None:
    """The second call keeps the first one's keys, or does not."""
    served.studio.set_options(metadata_post=switch)
    for metadata in ({"a": "1"}, {"b": "2"}):
        served.post("/raw-data/1/metadata", {"metadata": metadata})
    assert served.project.samples[1].metadata == expected


@pytest.mark.parametrize("validates", [True, False])
def test_proposals_are_checked_at_once_or_not(served: Any, validates: bool) -> None:
    """A box with a fraction is refused, or kept unseen."""
    served.studio.set_options(propose_validates=validates)
    job = served.project.add_job()
    changes = {"boundingBoxes": [{**CLIPPED, "x": 1.0}]}
    answer = served.post("/raw-data/1/propose-changes", {"jobId": job.id, "proposedChanges": changes})
    assert answer["success"] is not validates
    assert bool(job.proposals) is not validates


@pytest.mark.parametrize(("switch", "step"), [("job", 2), ("first", 0)])
def test_step_is_the_jobs_or_the_first(served: Any, switch: str, step: int) -> None:
    """The server decides which step a proposal belongs to."""
    served.studio.set_options(proposal_step=switch)
    job = served.project.add_job(step=2)
    served.post("/raw-data/1/propose-changes", {"jobId": job.id, "proposedChanges": {}})
    assert served.project.proposals(job.id) == [{"sampleId": 1, "step": step, "proposedChanges": {}}]


@pytest.mark.parametrize("allowed", [True, False])
def test_finished_job_takes_proposals_or_not(served: Any, allowed: bool) -> None:
    """After the block has ended."""
    served.studio.set_options(proposals_after_job_end=allowed)
    job = served.project.add_job()
    job.finish()
    answer = served.post("/raw-data/1/propose-changes", {"jobId": job.id, "proposedChanges": {}})
    assert answer["success"] is allowed


@pytest.mark.parametrize(("switch", "success"), [("refuse", False), ("accept", True)])
def test_unknown_job_is_refused_or_made(served: Any, switch: str, success: bool) -> None:
    """Proposals need the id of an AI-actions job, unless told otherwise."""
    served.studio.set_options(unknown_job=switch)
    answer = served.post("/raw-data/1/propose-changes", {"jobId": 77, "proposedChanges": {}})
    assert answer["success"] is success


@pytest.mark.parametrize(("largest", "length"), [(None, 11), (4, 4)])
def test_page_has_a_largest_size_or_none(served: Any, largest: int | None, length: int) -> None:
    """A larger limit is cut without a word."""
    served.studio.set_options(max_page_size=largest)
    page = served.get("/raw-data", category="all", limit=1000)
    assert (len(page["samples"]), page["totalCount"]) == (length, 11)


@pytest.mark.parametrize(("switch", "count"), [("none", 11), ("nothing", 0), ("unlabeled", 10)])
def test_empty_labels_filter_has_three_readings(served: Any, switch: str, count: int) -> None:
    """Official blocks send it, and mean no filter."""
    served.studio.set_options(empty_labels_filter=switch)
    served.project.samples[1].label = "cat"
    assert served.get("/raw-data/count", category="all", labels="")["count"] == count


@pytest.mark.parametrize(("switch", "kept"), [("refuse", []), ("clip", [CLIPPED]), ("store", [OUTSIDE])])
def test_box_outside_is_refused_clipped_or_stored(served: Any, switch: str, kept: list[Any]) -> None:
    """A box that sticks out on the left."""
    served.studio.set_options(boxes_outside=switch)
    answer = served.post("/raw-data/1/bounding-boxes", {"boundingBoxes": [OUTSIDE]})
    assert answer["success"] is bool(kept)
    assert served.project.samples[1].boxes == kept


@pytest.mark.parametrize("dies", [True, False])
def test_key_of_a_block_dies_with_its_job_or_not(served: Any, dies: bool) -> None:
    """While the job runs it opens the project in any case."""
    served.studio.set_options(key_dies_with_job=dies)
    job = served.project.add_job()
    headers = {"x-api-key": served.project.add_block_key(job)}
    assert served.http.get("/api/1", headers=headers).json()["success"]
    job.finish()
    assert served.http.get("/api/1", headers=headers).json()["success"] is not dies


@pytest.mark.parametrize("switch", ["job", "generic"])
def test_splitting_a_video_is_a_job_or_done_at_once(served: Any, switch: str) -> None:
    """A job ends after as many status reads as told."""
    served.studio.set_options(split_answers=switch, split_polls=2)
    answer = served.post("/raw-data/11/split", {"fps": 1})
    assert ("id" in answer) is (switch == "job")
    ends = (
        ["finished" in served.get(f"/jobs/{answer['id']}/status")["job"] for _ in range(2)]
        if "id" in answer
        else []
    )
    assert ends in ([], [False, True])
    assert served.get("/raw-data/count", category="all")["count"] == 12


@pytest.mark.parametrize("switch", ["upright", "stored"])
def test_dimensions_are_upright_or_stored(switch: Any) -> None:
    """A picture that is turned by 90 degrees tells them apart."""
    project = Studio(SimulatorOptions(image_dimensions=switch)).add_project()
    project.add_images(20, seed=1, rotated=1.0, sizes=[(320, 200)])
    sizes = {sample.size for sample in project.samples.values()}
    assert sizes == ({(320, 200)} if switch == "upright" else {(320, 200), (200, 320)})


def test_switches_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the prefix LABELBUS_SIMULATOR_."""
    monkeypatch.setenv("LABELBUS_SIMULATOR_METADATA_POST", "replace")
    assert SimulatorOptions().metadata_post == "replace"
