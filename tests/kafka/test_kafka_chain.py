"""A chain on a real broker: a detector finds, a relabeler names what is uncertain, and one commit writes."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from labelbus_simulator import Fault

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]
OBJECTS = (("red", "circle"), ("blue", "square"), ("green", "triangle"))
UNCERTAIN = 0.8
AT_ONCE = 10
FIND = """\
name: find and name
steps:
  - labeler: owl-vit
    parameters:
      prompt: |
        red circle (thing, 0.45)
        blue square (thing, 0.45)
        green triangle (thing, 0.45)
      nms: true
      delete_existing_bounding_boxes: "yes"
"""
CHAIN = f"""\
{FIND}  - labeler: relabel
    parameters:
      which_labels: thing
      prompt: What is this?
      max_score: {UNCERTAIN}
      concurrency: {AT_ONCE}
    when:
      labels: [thing]
      max_score: {UNCERTAIN}
metadata_after:
  labelbus-reviewed: "no"
"""
KINDS = ("set-boxes", "set-metadata")


def start(cluster: Any, **environ: str) -> None:
    """Start the chain's services, the relabeler anew."""
    cluster.need("dispatcher", "detector", "committer")
    if "relabel-1" in cluster.processes:
        cluster.kill("relabel-1")
    cluster.start("labeler relabel", environ=environ)
    cluster.until_ready("dispatcher-1", "detector-1", "relabel-1", "committer-1")


def images(cluster: Any, count: int) -> list[int]:
    """Return new samples, each an image of its own."""
    ids: list[int] = cluster.project.add_images(count, seed=len(cluster.project.samples), objects=OBJECTS)
    return ids


def downloads(cluster: Any, ids: Sequence[int]) -> Counter[int]:
    """Return how often each of these samples' images was read."""
    calls = cluster.studio.calls.by_sample
    return Counter(
        {one: count for (route, one), count in calls.items() if route == "get-image" and one in ids}
    )


def seen_by(cluster: Any, job_id: str, labeler: str) -> set[int]:
    """Return the samples that a labeler has labeled for a job."""
    statement = "SELECT DISTINCT sample_id FROM label_events WHERE job_id = :job_id AND labeler = :labeler"
    return {row.sample_id for row in cluster.sql(statement, job_id=job_id, labeler=labeler)}


def found(cluster: Any, ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """Return the boxes of the first step with their scores, by a preview of it alone."""
    preview = cluster.submit(ids, action=FIND)
    cluster.watch(preview)
    rows = cluster.sql("SELECT sample_id, draft FROM proposals WHERE job_id = :job_id", job_id=preview)
    return {row.sample_id: json.loads(row.draft)["boxes"] for row in rows}


def check_studio(cluster: Any, ids: Sequence[int]) -> set[int]:
    """Compare what Studio holds with what the first step found; return the samples with uncertain boxes."""
    cluster.studio.calls.reset()
    firsts, uncertain, right, named = found(cluster, ids), set(), 0, 0
    for one in ids:
        sample, first = cluster.project.samples[one], firsts[one]
        assert list(map(place, sample.boxes)) == list(map(place, first))
        unsure = Counter(now["label"] for was, now in zip(first, sample.boxes, strict=True) if is_unsure(was))
        sure = {now["label"] for was, now in zip(first, sample.boxes, strict=True) if not is_unsure(was)}
        assert sure <= {"thing"}
        assert unsure["thing"] == 0
        truth = Counter(" ".join((s.color, s.shape)) for s in cluster.project.truth[one])
        right, named = right + (unsure & truth).total(), named + unsure.total()
        assert sample.metadata["labelbus-reviewed"] == "no"
        uncertain |= {one} if unsure else set()
    assert 0 < len(uncertain) < len(ids)
    assert right >= 0.9 * named
    return uncertain


def is_unsure(box: dict[str, Any]) -> bool:
    """Tell whether a box of the first step meets the conditions of the second."""
    return bool(box["score"] <= UNCERTAIN)


def place(box: dict[str, Any]) -> tuple[int, ...]:
    """Return where a box is."""
    return tuple(int(box[name]) for name in ("x", "y", "width", "height"))


def test_a_chain_is_previewed_and_applied_as_reviewed(cluster: Any) -> None:
    """Processes that share no cache read an image once each; applying reads and asks nothing again."""
    start(cluster, LABELBUS_CACHE="")
    ids = images(cluster, 24)
    preview = cluster.submit(ids, action=CHAIN)
    assert "24 proposed" in cluster.watch(preview)
    assert cluster.studio.calls.writes == []
    named = seen_by(cluster, preview, "relabel")
    assert downloads(cluster, ids) == {one: 1 + (one in named) for one in ids}
    read, asked = cluster.studio.calls.by_route["get-image"], len(cluster.openai.requests)
    applied = cluster.labelbus("jobs", "apply", preview, "--yes").splitlines()[-1]
    assert "24 committed" in cluster.watch(applied)
    assert (cluster.studio.calls.by_route["get-image"], len(cluster.openai.requests)) == (read, asked)
    assert all(cluster.writes(kind, ids) == dict.fromkeys(ids, 1) for kind in KINDS)
    assert named == check_studio(cluster, ids)


def test_a_killed_relabeler_costs_nothing_twice(cluster: Any) -> None:
    """One image and one write of each kind per sample; asked again is only what was unanswered or unkept."""
    start(cluster)
    ids = images(cluster, 60)
    cluster.studio.fault(Fault("latency", route="get-image", latency_s=0.2))
    cluster.openai.latency_s = 0.2
    job_id = cluster.submit(ids, "--apply", action=CHAIN)
    cluster.until(lambda: len(seen_by(cluster, job_id, "relabel")) >= 8, "8 samples are named")
    cluster.kill("relabel-1")
    cluster.until(lambda: len(seen_by(cluster, job_id, "owl-vit")) == len(ids), "the detector goes on")
    assert cluster.state(job_id)[0] == "running"
    cluster.start("labeler relabel")
    assert "60 committed" in cluster.watch(job_id)
    assert downloads(cluster, ids) == dict.fromkeys(ids, 1)
    assert all(cluster.writes(kind, ids) == dict.fromkeys(ids, 1) for kind in KINDS)
    asked = Counter(map(json.dumps, cluster.openai.requests))
    assert asked.total() - len(asked) <= 2 * AT_ONCE  # half of them at the provider, half not settled yet
    assert seen_by(cluster, job_id, "relabel") == check_studio(cluster, ids)
