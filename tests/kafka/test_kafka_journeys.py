"""The main job on a real broker, its services separate processes."""

from collections import Counter
from typing import Any

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(400)]
SERVICES = ("dispatcher", "detector", "committer")
OBJECTS = (("red", "circle"), ("blue", "square"), ("green", "triangle"))


def test_every_service_may_be_killed_once(cluster: Any, slow_studio: None) -> None:
    """Dispatcher, detector and committer are each killed in mid-job; every sample is written once."""
    ids = cluster.project.add_images(240, seed=5, objects=OBJECTS)
    for service in SERVICES:
        cluster.start(service)
    job_id = cluster.submit(ids, "--apply")
    for service, progress in zip(SERVICES, (20, 60, 100), strict=True):
        cluster.until(lambda at=progress: len(cluster.writes("set-metadata")) >= at, f"{progress} writes")
        cluster.kill(service)
        cluster.start(service)
    cluster.labelbus("jobs", "watch", job_id, within_s=200)
    assert Counter(cluster.writes("set-boxes")) == dict.fromkeys(ids, 1)
    assert all(cluster.project.samples[i].metadata["labelbus-reviewed"] == "no" for i in ids)
    labels = Counter(box["label"] for i in ids for box in cluster.project.samples[i].boxes)
    truth = Counter(" ".join((s.color, s.shape)) for i in ids for s in cluster.project.truth[i])
    assert sum((labels & truth).values()) >= 0.9 * truth.total()


def test_a_preview_on_kafka_writes_nothing(cluster: Any) -> None:
    """Two detectors share a preview; Studio is only read, and the proposals are in the ledger."""
    ids = cluster.project.add_images(30, seed=6, objects=OBJECTS)
    cluster.start("dispatcher")
    cluster.start("committer")
    cluster.start("detector", name="detector-1")
    cluster.start("detector", name="detector-2")
    job_id = cluster.submit(ids)
    cluster.labelbus("jobs", "watch", job_id, within_s=200)
    assert cluster.studio.calls.writes == []
    assert "30" in cluster.labelbus("jobs", "show", job_id)
