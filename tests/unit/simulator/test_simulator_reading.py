"""Filters, paging, checks of what is written, uploads, damaged samples and the control API."""

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from labelbus_simulator import Dataset, Studio, draw_scene
from labelbus_simulator.damage import DAMAGES
from PIL import Image

EITHER = json.dumps(
    [{"no_metadata": True}, {"key": "site", "op": "eq", "values": ["a"]}, {"filters_combinator": "or"}]
)


def ids(served: Any, **params: Any) -> list[int]:
    """Ids of the samples that a filter finds, in the order of the answer."""
    return [s["id"] for s in served.get("/raw-data", **{"category": "all", **params})["samples"]]


@pytest.fixture
def marked(served: Any) -> Any:
    """Some samples with marks to filter by."""
    samples = served.project.samples
    samples[1].label, samples[2].label, samples[3].label = "cat", "2", "5"
    samples[4].is_disabled = True
    samples[5].metadata, samples[6].metadata = {"site": "a"}, {"site": "b"}
    samples[7].category = "post-processing"
    samples[8].boxes = [{"label": "cat", "x": 0, "y": 0, "width": 1, "height": 1}]
    return served


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"category": "post-processing"}, [7]),
        ({"labels": '["cat"]'}, [8, 1]),
        ({"filename": "CLIP"}, [10, 9]),
        ({"search": "10 clip"}, [10]),
        ({"minId": 3, "maxId": 5}, [4, 3]),
        ({"includeDisabled": "disabled"}, [4]),
        ({"includeDisabled": "enabled", "maxId": 5}, [3, 2, 1]),
        ({"dataType": "audio"}, [10, 9]),
        ({"minLength": 900, "maxLength": 1100}, [10, 9]),
        ({"minFrequency": 8000}, [10, 9]),
        ({"minLabel": 2, "maxLabel": 5}, [2]),
        ({"signatureValidity": "invalid"}, []),
        ({"minDate": "2026-01-01T00:10:00Z"}, [11, 10]),
        ({"maxDate": "2026-01-01T00:01:00Z"}, [1]),
        ({"metadata": '[{"key":"site","op":"eq","values":["a"]}]'}, [5]),
        ({"metadata": '[{"key":"site","op":"eq"}]'}, [6, 5]),
        ({"metadata": '[{"key":"site","op":"neq"}]', "maxId": 7}, [4, 3, 2, 1]),
        ({"metadata": '[{"no_metadata":true}]', "maxId": 6}, [4, 3, 2, 1]),
        ({"metadata": EITHER, "maxId": 6}, [5, 4, 3, 2, 1]),
    ],
)
def test_list_and_count_filter_alike(marked: Any, params: Any, expected: list[int]) -> None:
    """Both take the same filters."""
    assert ids(marked, **params) == expected
    assert marked.get("/raw-data/count", **{"category": "all", **params})["count"] == len(expected)


def test_pages_by_highest_id_miss_nothing_that_arrives_meanwhile(served: Any) -> None:
    """Key-set paging does not shift."""
    first = ids(served, limit=5)
    served.project.add_images(3)
    second = ids(served, limit=1000, maxId=first[-1])
    assert first + second == list(range(11, 0, -1))


def test_random_order_holds_the_same_samples(served: Any) -> None:
    """Only the order differs."""
    assert ids(served, sortBy="random") != ids(served)
    assert sorted(ids(served, sortBy="random")) == sorted(ids(served))


@pytest.mark.parametrize(
    "params", [{"category": "nonsense"}, {"limit": "x"}, {"labels": "cat"}, {"metadata": "{}"}]
)
def test_bad_filter_is_refused(served: Any, params: Any) -> None:
    """Not ignored."""
    answer = served.get("/raw-data", **{"category": "all", **params})
    assert not answer["success"]


BOX = {"label": "cat", "x": 1, "y": 1, "width": 2, "height": 2}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("bounding-boxes", {"boundingBoxes": [{**BOX, "x": 1.0}]}),
        ("bounding-boxes", {"boundingBoxes": [{**BOX, "x": True}]}),
        ("bounding-boxes", {"boundingBoxes": [{**BOX, "width": 0}]}),
        ("bounding-boxes", {"boundingBoxes": [{**BOX, "label": None}]}),
        ("bounding-boxes", {}),
        ("metadata", {"metadata": {"k": 1}}),
        ("edit-label", {"label": 3}),
        ("move", {"newCategory": "split"}),
        ("propose-changes", {"jobId": "1", "proposedChanges": {}}),
    ],
)
def test_bad_write_is_refused_and_changes_nothing(served: Any, path: str, body: Any) -> None:
    """Whole numbers are whole, metadata is text."""
    before = served.get("/raw-data/1")
    assert not served.post(f"/raw-data/1/{path}", body)["success"]
    assert served.get("/raw-data/1") == before


@pytest.mark.parametrize(
    "ranges",
    [
        [(0, 15_998)],
        [(0, 16_000)],
        [(-1, 15_999)],
        [(0, 100), (102, 15_999)],
        [(5, 4), (0, 15_999)],
        [(0.0, 15_999)],
    ],
)
def test_ranges_must_cover_the_sample_exactly(served: Any, ranges: Any) -> None:
    """Indexes are whole, inside, and without a gap."""
    body = [{"startIndex": start, "endIndex": end, "label": "x"} for start, end in ranges]
    assert not served.post("/raw-data/9/structured-labels", {"structuredLabels": body})["success"]
    assert served.project.samples[9].ranges == []


@pytest.mark.parametrize("query", ["", "?axisIx=1", "?axisIx=0&sliceEnd=16001", "?axisIx=0&sliceStart=-1"])
def test_bad_slice_of_sound_is_refused(served: Any, query: str) -> None:
    """The axis is required, the slice lies inside."""
    assert not served.http.get(f"/api/1/raw-data/9/wav{query}").json()["success"]


def test_upload_becomes_a_labeled_sample(served: Any) -> None:
    """Boxes come in a sidecar, duplicates can be refused one by one within a 200."""
    picture, _ = draw_scene(random.Random(1), 64, 48, 1)
    out = io.BytesIO()
    picture.save(out, "png")
    sidecar = json.dumps({"version": 1, "type": "bounding-box-labels", "boundingBoxes": {"new.png": [BOX]}})
    files = [("data", ("new.png", out.getvalue())), ("data", ("bounding_boxes.labels", sidecar))]
    root = served.url.removesuffix("/v1")
    headers = {"x-label": "a%20label", "x-metadata": '{"k":"v"}', "x-disallow-duplicates": "1"}
    first, second = (
        served.http.post(f"{root}/api/testing/files", files=files, headers=headers).json()["files"][0]
        for _ in range(2)
    )
    sample = served.get(f"/raw-data/{first['sampleId']}")["sample"]
    assert (sample["label"], sample["category"], sample["metadata"]) == ("a label", "testing", {"k": "v"})
    assert (sample["boundingBoxes"], sample["imageDimensions"]) == ([BOX], {"width": 64, "height": 48})
    assert (first["success"], second["success"]) == (True, False)


def test_damaged_samples_are_listed_and_served(served: Any) -> None:
    """Each kind can be read as far as HTTP goes."""
    added = served.project.add(Dataset.damaged(*DAMAGES))
    for sample_id, kind in zip(added, DAMAGES, strict=True):
        sound = served.project.samples[sample_id].kind == "audio"
        answer = served.http.get(f"/api/1/raw-data/{sample_id}/{'wav?axisIx=0' if sound else 'image'}")
        assert answer.headers["content-type"].startswith("audio/" if sound else "image/"), kind
    assert ids(served, minId=added[0]) == added[::-1]


def test_wide_and_bomb_are_what_they_say() -> None:
    """One is 20,000 pixels wide, the other announces more than may be opened."""
    bomb, wide = (next(iter(Dataset.damaged(kind))).content.data() for kind in ("bomb", "wide"))
    assert Image.open(io.BytesIO(wide)).width == 20_000
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(bomb))


def test_folder_is_read_with_its_labels(tmp_path: Path) -> None:
    """info.labels gives label, category and boxes."""
    (tmp_path / "a.wav").write_bytes(next(iter(Dataset.audio(1, seconds=0.1))).content.data())
    entry = {"path": "a.wav", "category": "testing", "label": {"type": "label", "label": "tone"}}
    (tmp_path / "info.labels").write_text(json.dumps({"version": 1, "files": [entry]}))
    project = Studio().add_project()
    sample = project.samples[project.add(Dataset.folder(tmp_path))[0]]
    assert (sample.label, sample.category, sample.values_count) == ("tone", "testing", 1600)


def test_pool_of_pictures_makes_many_samples_cheap() -> None:
    """Samples of one picture share its bytes and its hash."""
    project = Studio().add_project()
    project.add_images(20_000, distinct=4)
    assert len({sample.content.digest for sample in project.samples.values()}) == 4


def test_same_seed_makes_the_same_data() -> None:
    """Pictures and sounds are equal, byte for byte."""
    for make in (Dataset.images, Dataset.audio):
        first, second = ([new.content.data() for new in make(3, seed=9)] for _ in range(2))
        assert first == second


def test_control_api_counts_calls_and_shows_state(served: Any) -> None:
    """Per route, per sample, and writes in order."""
    root = served.url.removesuffix("/v1")
    served.post("/raw-data/2/disable")
    served.post("/raw-data/1/edit-label", {"label": "x"})
    counted = served.http.get(f"{root}/_control/calls").json()
    assert counted["routes"] == {"disable": 1, "edit-label": 1}
    assert counted["samples"] == {"2": {"disable": 1}, "1": {"edit-label": 1}}
    assert [write["sample"] for write in counted["writes"]] == [2, 1]
    served.http.delete(f"{root}/_control/calls")
    assert served.http.get(f"{root}/_control/calls").json()["total"] == 0
    state = served.http.get(f"{root}/_control/state/1").json()
    assert [s["id"] for s in state["samples"] if s["isDisabled"]] == [2]


def test_control_api_does_what_tests_do_in_python(served: Any) -> None:
    """Faults, switches, projects, edits and jobs."""
    root = served.url.removesuffix("/v1") + "/_control"
    made = served.http.post(
        f"{root}/projects", json={"images": 2, "key": "ei_two", "damaged": ["empty"]}
    ).json()
    assert len(served.studio.projects[made["id"]].samples) == 3
    fault = served.http.post(f"{root}/faults", json={"kind": "error", "status": 500}).json()
    assert served.http.get("/api/1").status_code == 500
    assert served.http.get(f"{root}/faults").json()["faults"][0]["struck"] == 1
    served.http.delete(f"{root}/faults/{fault['id']}")
    served.http.post(f"{root}/options", json={"metadata_post": "replace"})
    assert served.studio.options.metadata_post == "replace"
    served.http.post(f"{root}/samples/1", json={"label": "by hand", "isProcessing": True})
    assert (served.project.samples[1].label, served.project.samples[1].is_processing) == ("by hand", True)
    job = served.project.add_job()
    served.http.post(f"{root}/jobs/{job.id}", json={"step": 1, "log": "Done", "finished": True})
    assert (job.step, job.succeeded, len(job.stdout)) == (1, True, 1)
    truth = served.http.get(f"{root}/truth/1").json()["truth"]
    assert truth["1"] == [shape.box() for shape in served.project.truth[1]]


def test_refused_writes_are_not_counted_as_writes(served: Any) -> None:
    """Only what took effect."""
    served.post("/raw-data/404/disable")
    assert (served.studio.calls.by_route["disable"], served.studio.calls.writes) == (1, [])
