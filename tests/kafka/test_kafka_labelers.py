"""Every labeler as a service of its own on a real broker: `labelbus start detector`, `... labeler NAME`."""

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from labelbus_simulator import Sample
from labelbus_simulator.models import answer_with_boxes, name_picture

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]
OBJECTS = (("red", "circle"), ("blue", "square"), ("green", "triangle"))
SHAPES = tuple(map(" ".join, OBJECTS))
OLD = {"label": "thing", "x": 5, "y": 6, "width": 40, "height": 42}
Box = tuple[str, int, int, int, int]


def boxes(found: list[dict[str, Any]]) -> list[Box]:
    """Return boxes without regard to their order."""
    return sorted((b["label"], b["x"], b["y"], b["width"], b["height"]) for b in found)


def seen(sample: Sample) -> list[Box]:
    """Return the boxes that the stand-ins see in a sample's picture."""
    return boxes(answer_with_boxes(sample.content.data())["boundingBoxes"])


def is_covered(sample: Sample) -> bool:
    """Tell whether ranges of the labels that were asked for follow one another from first to last value."""
    edges = [(one["startIndex"], one["endIndex"]) for one in sample.ranges]
    is_whole = edges[0][0] == 0 and edges[-1][1] == sample.values_count - 1
    is_close = all(before[1] + 1 == after[0] for before, after in pairwise(edges))
    return is_whole and is_close and {one["label"] for one in sample.ranges} <= {"tone", "hiss", "other"}


@dataclass(frozen=True, slots=True)
class Case:
    """Parameters of a labeler, what its samples look like afterwards, and what they are."""

    parameters: Mapping[str, object]
    is_right: Callable[[Sample], bool]
    samples: str = "objects"


CASES = {
    "owl-vit": Case(
        {"prompt": "\n".join(f"{one} ({one}, 0.45)" for one in SHAPES), "nms": True},
        lambda sample: {box[0] for box in boxes(sample.boxes)} & set(SHAPES) != set(),
    ),
    "relabel": Case(
        {"which_labels": "thing", "prompt": "What is this?"},
        lambda sample: {box["label"] for box in sample.boxes} <= {*SHAPES, "nothing"},
    ),
    "images": Case(
        {"prompt": "What is this?"},
        lambda sample: sample.label == name_picture(sample.content.data()),
        "pictures",
    ),
    "validate": Case(
        {"validation_prompt": "- There is text"},
        lambda sample: sample.is_disabled and sample.metadata["validation"] == "invalid",
    ),
    "detect-llm": Case(
        {"prompt": "\n".join(SHAPES), "delete_existing_bounding_boxes": "no"},
        lambda sample: boxes(sample.boxes) == sorted([*seen(sample), *boxes([OLD])]),
    ),
    "audio": Case(
        {"audioset_labels": "sine wave (tone)\nwhite noise (hiss)", "win_size_ms": 500, "win_stride_ms": 500},
        is_covered,
        "sounds",
    ),
    "pretrained": Case(
        {"source_secret": "ledger:source"},
        lambda sample: boxes(sample.boxes) == sorted([*seen(sample), *boxes([OLD])]),
    ),
}


@pytest.fixture(scope="module")
def project_of(shared_cluster: Any) -> Iterator[Callable[[str], Any]]:
    """Start a process for each labeler at once, beside one dispatcher and one committer; end them together.

    Returns the project for samples of a kind.
    """
    single = shared_cluster.add_project("Pictures and sounds", "single_label")
    source = shared_cluster.studio.add_project("Source")
    source.classify = answer_with_boxes
    shared_cluster.keep("source", source.key, shared_cluster.project)
    shared_cluster.need("dispatcher", "committer", *map(service, CASES))
    yield lambda samples: shared_cluster.project if samples == "objects" else single
    for name in sorted(CASES.keys() - {"owl-vit"}):
        shared_cluster.kill(f"{name}-1", by=signal.SIGTERM)


def service(labeler: str) -> str:
    """Return what to start: owl-vit's service has a name of its own, and other tests need it too."""
    return "detector" if labeler == "owl-vit" else f"labeler {labeler}"


@pytest.mark.parametrize("labeler", CASES)
def test_a_labeler_is_a_service(cluster: Any, project_of: Callable[[str], Any], labeler: str) -> None:
    """What it labels is in Studio, each part written once, by a process that says it is ready."""
    case = CASES[labeler]
    project = project_of(case.samples)
    if case.samples == "sounds":
        ids = project.add_audio(3, pieces=3, seconds=2.0)
    else:
        ids = project.add_images(3, seed=len(project.samples), objects=OBJECTS)
    for one in ids if case.samples == "objects" else ():
        project.samples[one].boxes = [dict(OLD)]
    cluster.until_ready(f"{service(labeler).split()[-1]}-1")
    step = {"labeler": labeler, "parameters": case.parameters}
    action = json.dumps({"name": labeler, "steps": [step]})
    job_id = cluster.submit(ids, "--apply", action=action, project=project)
    assert "3 committed" in cluster.watch(job_id)
    assert [one for one in ids if not case.is_right(project.samples[one])] == []
    writes = Counter((write["route"], write["sample"]) for write in cluster.studio.calls.writes)
    assert {sample for _, sample in writes} == set(ids)
    assert set(writes.values()) == {1}
