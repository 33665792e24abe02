"""The main job on a real broker, its services separate processes."""

import signal
from collections import Counter
from typing import Any

import pytest
from labelbus_simulator import Fault
from labelbus_simulator.dataset import Dataset

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]
SERVICES = ("dispatcher", "detector", "committer")
OBJECTS = (("red", "circle"), ("blue", "square"), ("green", "triangle"))


def images(cluster: Any, count: int) -> list[int]:
    """Return new samples, each an image of its own."""
    ids: list[int] = cluster.project.add_images(count, seed=len(cluster.project.samples), objects=OBJECTS)
    return ids


def written(cluster: Any, ids: list[int]) -> int:
    """Return how many of these samples are done."""
    return len(cluster.writes("set-metadata", ids))


def test_every_service_may_be_killed_once(cluster: Any, slow_studio: None) -> None:
    """Dispatcher, detector and committer are each killed in mid-job; every sample is written once."""
    ids = images(cluster, 120)
    cluster.need(*SERVICES)
    job_id = cluster.submit(ids, "--apply")
    for service, progress in zip(SERVICES, (10, 30, 60), strict=True):
        cluster.until(lambda at=progress: written(cluster, ids) >= at, f"{progress} are written")
        cluster.kill(f"{service}-1")
        cluster.start(service)
    cluster.watch(job_id)
    assert cluster.writes("set-boxes", ids) == dict.fromkeys(ids, 1)
    assert all(cluster.project.samples[i].metadata["labelbus-reviewed"] == "no" for i in ids)
    labels = Counter(box["label"] for i in ids for box in cluster.project.samples[i].boxes)
    truth = Counter(" ".join((s.color, s.shape)) for i in ids for s in cluster.project.truth[i])
    assert sum((labels & truth).values()) >= 0.9 * truth.total()


def test_the_broker_may_be_killed(cluster: Any, slow_studio: None) -> None:
    """Kafka is killed in mid-job and comes back with its records; every sample is written once."""
    ids = images(cluster, 60)
    cluster.need(*SERVICES)
    job_id = cluster.submit(ids, "--apply")
    cluster.until(lambda: written(cluster, ids) >= 10, "10 are written")
    cluster.broker.kill()
    cluster.broker.start()
    cluster.watch(job_id)
    assert cluster.writes("set-boxes", ids) == dict.fromkeys(ids, 1)
    cluster.until_ready("dispatcher-1", "detector-1", "committer-1")


def test_another_dispatcher_takes_over(cluster: Any, slow_studio: None) -> None:
    """Of two dispatchers one fills; it is killed, the other goes on, and nothing is written twice."""
    ids = images(cluster, 60)
    cluster.need(*SERVICES)
    cluster.start("dispatcher", name="dispatcher-2")
    cluster.until_ready("dispatcher-1", "dispatcher-2")
    job_id = cluster.submit(ids, "--apply")
    cluster.until(lambda: written(cluster, ids) >= 5, "5 are written")
    [lease] = cluster.sql("SELECT holder FROM leases WHERE name LIKE 'refill:%'")
    cluster.kill(lease.holder)
    cluster.watch(job_id)
    assert cluster.writes("set-boxes", ids) == dict.fromkeys(ids, 1)
    [now] = cluster.sql("SELECT holder FROM leases WHERE name LIKE 'refill:%'")
    assert now.holder != lease.holder
    if "dispatcher-2" in cluster.processes:
        cluster.kill("dispatcher-2", by=signal.SIGTERM)


def test_a_preview_writes_nothing_and_is_applied_as_reviewed(cluster: Any) -> None:
    """Detectors join and leave; Studio is only read; applied, each sample is written once."""
    ids = images(cluster, 30)
    cluster.need(*SERVICES)
    joining = cluster.start("detector", name="detector-2", by_faststream=True)
    cluster.until(lambda: joining.ready() == "ready\n", "the second detector is ready")
    preview = cluster.submit(ids)
    cluster.kill("detector-2", by=signal.SIGTERM)
    assert "30 proposed" in cluster.watch(preview)
    assert cluster.studio.calls.writes == []
    read = cluster.studio.calls.by_route["get-image"]
    applied = cluster.labelbus("jobs", "apply", preview, "--yes").splitlines()[-1]
    cluster.watch(applied)
    assert cluster.writes("set-boxes", ids) == dict.fromkeys(ids, 1)
    assert cluster.studio.calls.by_route["get-image"] == read


def test_a_bad_sample_fails_alone(cluster: Any) -> None:
    """It is named with its reason, its neighbours are written, and the job ends with failures."""
    good = images(cluster, 3)
    [bad] = cluster.project.add(Dataset.damaged("truncated"))
    cluster.need(*SERVICES)
    job_id = cluster.submit([*good, bad], "--apply")
    said = cluster.watch(job_id, state="finished_with_failures")
    assert "1 failed" in said
    assert cluster.writes("set-boxes", [*good, bad]) == dict.fromkeys(good, 1)
    [row] = cluster.sql("SELECT state, reason FROM samples WHERE sample_id = :bad", bad=bad)
    assert row.state == "failed"
    assert row.reason


def test_a_job_is_paused_resumed_and_cancelled(cluster: Any) -> None:
    """Paused, nothing further is read; resumed, it goes on; cancelled by the HTTP API, it is over."""
    cluster.studio.fault(Fault("latency", route="get-image", latency_s=0.5))
    ids = images(cluster, 300)
    cluster.need(*SERVICES)
    job_id = cluster.submit(ids)
    cluster.until(lambda: cluster.studio.calls.by_route["get-image"] >= 3, "images are read")
    cluster.labelbus("jobs", "pause", job_id[:8])
    cluster.until(lambda: cluster.state(job_id)[0] == "paused", "the job is paused")
    cluster.until(lambda: not in_flight(cluster, job_id), "nothing is in flight")
    read = cluster.studio.calls.by_route["get-image"]
    cluster.labelbus("jobs", "resume", job_id[:8])
    cluster.until(lambda: cluster.studio.calls.by_route["get-image"] > read, "it goes on")
    api = {"LABELBUS_URL": cluster.processes["dispatcher-1"].url, "LABELBUS_TOKEN": "lb_of_the_tests"}
    cluster.labelbus("jobs", "cancel", job_id[:8], **api)
    cluster.watch(job_id, state="cancelled")
    assert len(ids) > cluster.studio.calls.by_route["get-image"]


def test_ten_thousand_ids_and_more_arrive(cluster: Any) -> None:
    """What one message does not carry follows in further ones; none is lost, none comes twice."""
    ids = range(5_000_001, 5_010_502)
    cluster.need("dispatcher")
    job_id = cluster.submit(ids)
    cluster.until(lambda: cluster.state(job_id)[1] == len(ids), "all are in the ledger")
    cluster.labelbus("jobs", "cancel", job_id)
    cluster.until(lambda: cluster.state(job_id)[0] == "cancelled", "the job is cancelled")
    [row] = cluster.sql(
        "SELECT count(*), min(sample_id), max(sample_id) FROM samples WHERE job_id = :job_id", job_id=job_id
    )
    assert tuple(row) == (len(ids), ids[0], ids[-1])


def test_clusters_leave_each_other_alone(cluster: Any) -> None:
    """Two topic prefixes share a ledger: neither dispatcher touches the other's job, and one API submits."""
    cluster.need(*SERVICES)
    other = {"LABELBUS_KAFKA_TOPIC_PREFIX": "other."}
    elsewhere = cluster.submit(images(cluster, 5), "--apply", **other)
    dispatcher = cluster.start("dispatcher", name="dispatcher-3", by_faststream=True, environ=other)
    cluster.until(lambda: in_flight(cluster, elsewhere), "the other dispatcher has sent its samples")
    api = {"LABELBUS_URL": cluster.processes["dispatcher-1"].url, "LABELBUS_TOKEN": "lb_of_the_tests"}
    ids = images(cluster, 5)
    cluster.watch(cluster.submit(ids, "--apply", **api))
    assert {write["sample"] for write in cluster.studio.calls.writes} <= {*ids, None}  # None: in one call
    assert cluster.state(elsewhere) == ("running", 5)
    assert dispatcher.ready() == "ready\n"
    cluster.kill("dispatcher-3", by=signal.SIGTERM)


def test_a_name_used_twice_is_complained_of(cluster: Any) -> None:
    """Two processes of one LABELBUS_INSTANCE take each other's partitions; /ready says what to mend."""
    first = cluster.start("committer", name="twin")
    cluster.until(lambda: first.ready() == "ready\n", "the first is there")
    second = cluster.start("committer", name="twin", process="its-twin")
    cluster.until(lambda: "LABELBUS_INSTANCE" in first.ready() + second.ready(), "one complains of the name")
    cluster.kill("twin")
    cluster.kill("its-twin")


def in_flight(cluster: Any, job_id: str) -> int:
    """Return how many samples of a job a labeler has."""
    [row] = cluster.sql(
        "SELECT count(*) FROM samples WHERE job_id = :job_id AND state = 'labeling'", job_id=job_id
    )
    return int(row[0])
