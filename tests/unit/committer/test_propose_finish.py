"""Previews change nothing, finishing a job can be repeated, label events are recorded once."""

import asyncio
import json

import httpx
import pytest
from labelbus_contracts.ids import JobId, MessageId, ProjectId, SampleId
from labelbus_contracts.labels import Base, LabelSet
from labelbus_contracts.v1.commands import FinishJob
from labelbus_contracts.v1.events import (
    JobMetadataSet,
    SampleFailed,
    SampleLabeled,
    SampleProposed,
    Usage,
    WriteDeferred,
    WriteRefused,
)
from labelbus_ledger.tables import claims, commits, label_events, proposals
from labelbus_runtime.errors import RetryLater
from labelbus_simulator import Fault

from .conftest import KEY, METADATA_AFTER, World, with_cat


def finish(world: World, **changes: object) -> FinishJob:
    """Return the command that ends the job."""
    command = FinishJob(
        id=MessageId("finish_job:job:1"),
        job_id=JobId("job"),
        project_id=ProjectId(world.project.id),
        secret=KEY,
        mode="apply",
        metadata=METADATA_AFTER,
    )
    return command.model_copy(update=changes)


async def test_preview(world: World) -> None:
    """A proposal is stored whole; Studio is not called."""
    command = world.proposal(world.add_sample())
    assert isinstance(await world.ask(command), SampleProposed)
    (row,) = await world.rows(proposals)
    assert Base.model_validate_json(row["base"]) == command.base
    assert LabelSet.model_validate_json(row["draft"]) == command.draft
    assert world.studio.calls.total == 0


async def test_preview_in_studio(world: World) -> None:
    """With Studio's job the proposal is shown there by one call: boxes and metadata whole, nothing else."""
    job = world.project.add_job()
    sample = world.add_sample()
    before = world.live(sample)
    assert isinstance(await world.ask(world.proposal(sample, studio_job_id=job.id)), SampleProposed)
    (shown,) = world.project.proposals(job.id)
    assert set(shown["proposedChanges"]) == {"boundingBoxes", "metadata"}
    assert shown["proposedChanges"]["metadata"] == {"site": "north", "labeled_by": "owlv2"}
    assert world.live(sample) == before
    assert dict(world.studio.calls.by_route) == {"propose": 1}
    assert await world.rows(claims) == [] == await world.rows(commits)


async def test_unchanged_sample_in_studio(world: World) -> None:
    """A sample that nothing was found in is proposed too, else it is missing from the preview."""
    job = world.project.add_job()
    sample = world.add_sample()
    await world.ask(world.proposal(sample, draft=world.live(sample), studio_job_id=job.id))
    (shown,) = world.project.proposals(job.id)
    assert shown["proposedChanges"] == {"boundingBoxes": [], "metadata": {"site": "north"}}


async def test_audio_in_studio(world: World) -> None:
    """A preview of time ranges names no boxes where the project is not about them."""
    (sample,) = world.project.add_audio(1)
    world.project.labeling_method = "single_label"
    job = world.project.add_job()
    draft = world.live(sample).model_copy(update={"disabled": True})
    await world.ask(world.proposal(sample, draft=draft, studio_job_id=job.id))
    (shown,) = world.project.proposals(job.id)
    assert set(shown["proposedChanges"]) == {"isDisabled", "metadata"}


async def test_refused_proposal(world: World) -> None:
    """A proposal that Studio refuses is not stored, so it cannot be applied."""
    world.studio.fault(Fault("refuse", route="propose"))
    command = world.proposal(world.add_sample(), studio_job_id=world.project.add_job().id)
    assert isinstance(await world.ask(command), WriteRefused)
    assert await world.rows(proposals) == []


async def test_proposal_in_a_job_that_studio_lacks(world: World) -> None:
    """All samples would fail alike: the job is to pause."""
    answer = await world.ask(world.proposal(world.add_sample(), studio_job_id=999))
    assert isinstance(answer, WriteDeferred)
    assert (answer.scope, "Job not found" in answer.reason) == ("job", True)
    assert await world.rows(proposals) == []


async def test_proposal_while_studio_is_away(world: World) -> None:
    """A proposal is deferred while Studio is away, and repeated without harm."""
    job = world.project.add_job()
    command = world.proposal(world.add_sample(), studio_job_id=job.id)
    world.studio.fault(Fault("error", "propose", times=1, applied=True))
    assert isinstance(await world.ask(command), WriteDeferred)
    assert isinstance(await world.ask(command), SampleProposed)
    assert isinstance(await world.ask(command), SampleProposed)
    assert len(world.project.proposals(job.id)) == len(await world.rows(proposals)) == 1


async def test_proposal_of_a_stopped_job(world: World) -> None:
    """A stopped job proposes nothing."""
    await world.stop_job()
    assert isinstance(await world.ask(world.proposal(world.add_sample())), WriteDeferred)
    assert await world.rows(proposals) == []


async def test_earlier_run_does_not_replace(world: World) -> None:
    """A late proposal of an earlier run leaves the later run's alone."""
    command = world.proposal(world.add_sample())
    await world.ask(command.model_copy(update={"run": 2}))
    await world.ask(command.model_copy(update={"draft": command.base.labels}))
    (row,) = await world.rows(proposals)
    assert LabelSet.model_validate_json(row["draft"]) == command.draft


async def test_finish(world: World) -> None:
    """The action's metadata is set on what the job committed, one call for each key and 300 samples."""
    ids = [world.add_sample() for _ in range(3)]
    await asyncio.gather(*(world.ask(world.commit(one)) for one in ids))
    world.studio.calls.reset()
    answer = await world.ask(finish(world))
    assert isinstance(answer, JobMetadataSet) and (answer.samples, answer.failed) == (3, 0)
    assert dict(world.studio.calls.by_route) == {"batch-add-metadata": 2}
    assert all(world.sample(one).metadata["round"] == "1" for one in ids)
    assert await world.ask(finish(world)) == answer
    assert world.studio.calls.total == 2


async def test_finish_begins_where_it_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finish that met a fault goes on with the samples that still lack the metadata."""
    monkeypatch.setattr("labelbus_committer.finish.IDS_PER_CALL", 2)
    ids = [world.add_sample() for _ in range(5)]
    await asyncio.gather(*(world.ask(world.commit(one)) for one in ids))
    world.studio.calls.reset()
    world.studio.fault(Fault("error", "batch-add-metadata", skip=3, times=1))
    with pytest.raises(RetryLater):
        await world.ask(finish(world))
    world.restart()
    answer = await world.ask(finish(world))
    assert isinstance(answer, JobMetadataSet) and (answer.samples, answer.failed) == (5, 0)
    assert len(world.writes()) == 7  # three parts of two keys; one call before the fault was repeated


async def test_finish_refused(world: World) -> None:
    """What Studio refuses is counted as failed with its reason, and the job can end."""
    await world.ask(world.commit(world.add_sample()))
    world.studio.fault(Fault("refuse", "batch-add-metadata", message="No such key"))
    answer = await world.ask(finish(world))
    assert isinstance(answer, JobMetadataSet) and (answer.samples, answer.failed) == (0, 1)
    assert "No such key" in answer.reason


async def test_finish_with_a_revoked_key(world: World) -> None:
    """A revoked key does not keep a job from ending."""
    await world.ask(world.commit(world.add_sample()))
    world.studio.revoke(world.project.key)
    answer = await world.ask(finish(world))
    assert isinstance(answer, JobMetadataSet) and answer.failed == 1


@pytest.mark.parametrize("succeeds", [True, False])
async def test_finish_waits_for_studio(world: World, succeeds: bool) -> None:
    """Where Studio works on a batch later, its job's end counts."""
    await world.ask(world.commit(world.add_sample()))
    world.restart(finish_poll_s=0.0)
    job = world.project.add_job("batch-edit")
    carry, polls = world.line.handle_async_request, 0

    async def answer_later(request: httpx.Request) -> httpx.Response:
        nonlocal polls
        if "batch" in request.url.path:
            return httpx.Response(200, json={"success": True, "id": job.id})
        polls += 1
        if polls == 3:
            job.finish(success=succeeds)
        response: httpx.Response = await carry(request)
        return response

    world.line.handle_async_request = answer_later  # type: ignore[method-assign]
    answer = await world.ask(finish(world, metadata={"round": "1"}))
    assert isinstance(answer, JobMetadataSet)
    assert (answer.samples, answer.failed) == ((1, 0) if succeeds else (0, 1))
    assert polls == 3


async def test_finish_preview(world: World) -> None:
    """Finishing a preview calls nothing, whatever the ledger says of it."""
    await world.ask(world.commit(world.add_sample()))
    before = world.studio.calls.total
    answer = await world.ask(finish(world, mode="preview"))
    assert isinstance(answer, JobMetadataSet) and answer.samples == 0
    assert world.studio.calls.total == before


async def test_metadata_of_a_finished_job_still_names_it(world: World) -> None:
    """A difference is another job's even after that job has added its metadata."""
    await world.add_job("other")
    sample = world.add_sample()
    late = world.commit(
        sample, job_id="other", draft=world.live(sample).model_copy(update={"disabled": True})
    )
    await world.ask(world.commit(sample))
    await world.ask(finish(world))
    answer = await world.ask(late)
    assert getattr(answer, "by_job", None) == "job"


async def test_label_events(world: World) -> None:
    """A label event that comes several times is recorded once, with what it took."""
    base = world.base(world.add_sample())
    labeled = SampleLabeled(
        id=MessageId("sample_labeled:job:1:5:0:1"),
        job_id=JobId("job"),
        project_id=ProjectId(world.project.id),
        sample_id=SampleId(5),
        labeler="owl-vit",
        base=base,
        draft=with_cat(base.labels),
        model="owlv2",
        usage=Usage(seconds=0.5, input_tokens=3, cost_usd=0.01),
        notes=("clipped",),
    )
    failed = SampleFailed(
        id=MessageId("sample_failed:job:1:6:0:1"),
        job_id=JobId("job"),
        project_id=ProjectId(world.project.id),
        sample_id=SampleId(6),
        labeler="owl-vit",
        reason="The image is torn.",
        code="image",
    )
    answers = await asyncio.gather(*(world.handle(event) for event in (labeled, failed, labeled)))
    await world.handle(labeled)
    assert answers == [[], [], []]
    one, other = sorted(await world.rows(label_events), key=lambda row: int(row["sample_id"]))
    assert (one["model"], one["seconds"], json.loads(one["notes"])) == ("owlv2", 0.5, ["clipped"])
    assert (other["kind"], other["code"], other["reason"]) == ("sample_failed", "image", "The image is torn.")


async def test_label_events_hold_whatever_was_said(world: World) -> None:
    """Bytes that PostgreSQL stores nowhere, and a name longer than its column, are no reason to wait."""
    base = world.base(world.add_sample())
    ids = {"job_id": "job", "project_id": world.project.id, "sample_id": 5, "labeler": "x"}
    failed = SampleFailed.model_validate(ids | {"id": "failed", "reason": "It said:\n\0\x1b[2J."})
    labeled = SampleLabeled.model_validate(
        ids | {"id": "labeled", "base": base, "draft": base.labels, "model": "m" * 300}
    )
    await asyncio.gather(world.handle(failed), world.handle(labeled))
    rows = {row["message_id"]: row for row in await world.rows(label_events)}
    assert rows["failed"]["reason"] == "It said:\n\ufffd\ufffd[2J."
    assert rows["labeled"]["model"] == "m" * 200
