"""The client over real sockets, against the simulated Studio."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from labelbus_contracts.labels import BoundingBox, TimeRange, changed_parts
from labelbus_simulator import Fault, Project, SimulatorOptions, Studio, serve
from labelbus_studio import (
    KeyRefused,
    ProposedChanges,
    SampleNotFound,
    SampleQuery,
    StudioClient,
    StudioConfused,
    StudioSettings,
    StudioUnavailable,
)
from pydantic import SecretStr

KEY = "ei_0123456789"
BOX = BoundingBox(label="cat", x=1, y=2, width=3, height=4)


@dataclass
class Served:
    """A project with 30 images, then 2 sounds, whose lists answer at most 7 samples a page."""

    studio: Studio
    project: Project
    url: str

    def client(self, key: str = KEY, retry_within_s: float = 2) -> StudioClient:
        """Return a client of it."""
        settings = StudioSettings(endpoint=self.url, retry_within_s=retry_within_s, concurrency=4)
        return StudioClient(SecretStr(key), settings=settings)


@pytest.fixture
def served() -> Iterator[Served]:
    """Serve the project on a free port."""
    studio = Studio(SimulatorOptions(max_page_size=7))
    project = studio.add_project(key=KEY)
    project.add_images(30, seed=1)
    project.add_audio(2, seed=1, seconds=0.5)
    with serve(studio) as url:
        yield Served(studio, project, url)


async def test_a_sample_is_read_written_and_read_back(served: Served) -> None:
    """What is written is what is read, part by part."""
    async with served.client() as client:
        project = await client.project()
        sample_id = next(iter(served.project.samples))
        before = await client.read_sample(project.id, sample_id)
        await client.set_bounding_boxes(project.id, sample_id, [BOX])
        await client.set_metadata(project.id, sample_id, {**before.labels.metadata, "labeled_by": "x"})
        await client.disable(project.id, sample_id)
        after = await client.read_sample(project.id, sample_id)
    assert (before.facts.kind, bool(before.facts.width)) == ("image", True)
    assert after.labels.boxes == (BOX,)
    assert after.labels.metadata["labeled_by"] == "x"
    assert after.labels.disabled
    assert changed_parts(before.labels, after.labels) >= {"boxes", "metadata", "disabled"}


async def test_sounds_are_read_and_labeled(served: Served) -> None:
    """A sound has its frequency and length, its WAV, and ranges that cover it."""
    async with served.client() as client:
        sample_id = max(served.project.samples)
        sound = await client.read_sample(1, sample_id)
        count = sound.facts.values_count or 0
        ranges = [TimeRange(start_index=0, end_index=count - 1, label="noise")]
        await client.set_structured_labels(1, sample_id, ranges)
        assert (await client.read_sample(1, sample_id)).labels.ranges == tuple(ranges)
        assert (await client.wav(1, sample_id))[:4] == b"RIFF"
    assert sound.facts.kind == "audio"


async def test_all_pages_are_read_though_they_are_short(served: Served) -> None:
    """A Studio that answers shorter pages than asked for hides no sample."""
    async with served.client() as client:
        seen = [sample.id async for page in client.pages(1, SampleQuery()) for sample in page]
        assert seen == sorted(served.project.samples, reverse=True)
        assert len(await client.read_samples(1, seen)) == await client.count(1, SampleQuery()) == 32


async def test_proposals_change_nothing(served: Served) -> None:
    """A proposal is read back, and the sample stays as it is."""
    async with served.client() as client:
        sample_id = next(iter(served.project.samples))
        job = served.project.add_job()
        before = await client.read_sample(1, sample_id)
        await client.propose(1, sample_id, job.id, ProposedChanges(boxes=(BOX,), metadata={"a": "b"}))
        (proposal,) = await client.proposals(1, job.id)
        assert (proposal.sample_id, proposal.changes.boxes) == (sample_id, (BOX,))
        assert (await client.read_sample(1, sample_id)).labels == before.labels


async def test_batches_reach_their_samples(served: Served) -> None:
    """Only the named samples get the metadata."""
    async with served.client() as client:
        ids = sorted(served.project.samples)[:5]
        await client.add_metadata(1, ids, "done", "yes")
        marked = [
            sample.id
            async for page in client.pages(1, SampleQuery())
            for sample in page
            if sample.labels.metadata.get("done") == "yes"
        ]
    assert sorted(marked) == ids


@pytest.mark.parametrize(
    "fault",
    [
        Fault("drop", times=1),
        Fault("truncate", times=1),
        Fault("not_json", times=1, status=200),
        Fault("error", times=1, status=503),
        Fault("rate_limit", times=1, retry_after=0),
        Fault("drop", times=1, applied=True),
    ],
)
async def test_short_faults_of_the_network_are_survived(served: Served, fault: Fault) -> None:
    """A connection that is cut, a body that is short and a gateway's page cost one more call each."""
    async with served.client() as client:
        sample_id = next(iter(served.project.samples))
        served.studio.fault(fault)
        await client.set_bounding_boxes(1, sample_id, [BOX])
        assert client.calls["bounding-boxes"] == 2
        assert (await client.read_sample(1, sample_id)).labels.boxes == (BOX,)


async def test_images_cut_short_are_fetched_again(served: Served) -> None:
    """A truncated image is never handed out."""
    async with served.client() as client:
        sample_id = next(iter(served.project.samples))
        whole = await client.image(1, sample_id)
        served.studio.fault(Fault("truncate", route="get-image", times=1))
        assert await client.image(1, sample_id) == whole


async def test_what_stays_is_raised_by_kind(served: Served) -> None:
    """A wrong key, a sample that is gone, an absent server and a proxy's page each have their error."""
    async with served.client("ei_wrong") as client:
        with pytest.raises(KeyRefused):
            await client.project()
    async with served.client(retry_within_s=0.3) as client:
        with pytest.raises(SampleNotFound):
            await client.read_sample(1, 999_999)
        served.studio.fault(Fault("not_json", status=200))
        with pytest.raises(StudioConfused):
            await client.project()
    nowhere = StudioSettings(endpoint="http://127.0.0.1:9", retry_within_s=0.3)
    async with StudioClient(SecretStr(KEY), settings=nowhere) as client:
        with pytest.raises(StudioUnavailable):
            await client.project()
