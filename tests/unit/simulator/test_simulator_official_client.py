"""The official client, with its strict models, is content with every route that it shares with us."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import edgeimpulse_api as ei
import edgeimpulse_api.models as m
import pytest
from edgeimpulse_api.api.classify_api import ClassifyApi
from edgeimpulse_api.api.impulse_api import ImpulseApi
from edgeimpulse_api.api.jobs_api import JobsApi
from edgeimpulse_api.api.organization_blocks_api import OrganizationBlocksApi
from edgeimpulse_api.api.projects_api import ProjectsApi
from edgeimpulse_api.api.raw_data_api import RawDataApi
from labelbus_simulator.models import answer_with_boxes
from PIL import Image

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:edgeimpulse_api"),
    pytest.mark.filterwarnings("ignore:.*getheaders.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:HTTPResponse.getheader.*:DeprecationWarning"),
]
BOX = {"label": "cat", "x": 1, "y": 2, "width": 30, "height": 40}


@pytest.fixture
def client(served: Any) -> Iterator[Any]:
    """The official client with the project's key."""
    with connect(served.url, served.project.key) as connected:
        yield connected


def connect(url: str, key: str) -> Any:
    """The official client with any key."""
    return ei.ApiClient(ei.Configuration(host=url, api_key={"ApiKeyAuthentication": key}))


@pytest.fixture
def data(client: Any) -> Any:
    """Its calls about samples."""
    return RawDataApi(client)


@pytest.fixture
def projects(client: Any) -> Any:
    """Its calls about projects and actions."""
    return ProjectsApi(client)


@pytest.fixture
def jobs(client: Any) -> Any:
    """Its calls about jobs."""
    return JobsApi(client)


def test_project_is_found_by_its_key(projects: Any) -> None:
    """List, key info, project info and an update agree."""
    assert [p.id for p in projects.list_projects().projects] == [1]
    assert projects.get_current_api_key_info().project_id == 1
    info = projects.get_project_info(1)
    assert (info.project.labeling_method, info.data_summary.data_count) == ("object_detection", 11)
    assert projects.update_project(1, m.UpdateProjectRequest(name="Renamed")).success
    assert projects.get_project_info(1).project.name == "Renamed"


def test_new_key_opens_the_project(served: Any, projects: Any) -> None:
    """The key that is shown once works, and a readonly one does not write."""
    request = m.AddProjectApiKeyRequest(name="k", is_development_key=False, role="readonly")
    key = projects.add_project_api_key(1, request).api_key
    with connect(served.url, key) as other:
        assert ProjectsApi(other).list_projects().projects[0].id == 1
        with pytest.raises(Exception, match="readonly"):
            RawDataApi(other).disable_sample(1, 1)


def test_samples_come_by_page_highest_id_first(data: Any) -> None:
    """Two pages hold all, and the total does not depend on the page."""
    first, second = (data.list_samples(1, "all", limit=6, offset=offset) for offset in (0, 6))
    assert [s.id for s in first.samples + second.samples] == list(range(11, 0, -1))
    assert first.total_count == second.total_count == 11


def test_one_sample_comes_with_its_values(data: Any) -> None:
    """Sound has as many values as asked for, and says how many there are."""
    answer = data.get_sample(1, 9, limit_payload_values=3)
    assert (len(answer.payload.values), answer.total_payload_length) == (3, 16_000)
    assert answer.sample.frequency == 16_000
    assert data.get_sample(1, 1).sample.image_dimensions.width > 0


def test_bytes_come_undecoded(served: Any, data: Any) -> None:
    """Pictures, sound and uploads, where the client is told not to decode them."""
    picture = data.get_sample_as_image(1, 1, _preload_content=False).data
    sound = data.get_sample_as_audio(1, 9, 0, slice_start=0, slice_end=100, _preload_content=False).data
    raw = data.get_sample_as_raw(1, 9, _preload_content=False).data
    video = data.get_sample_as_video(1, 11, _preload_content=False).data
    assert Image.open(io.BytesIO(picture)).size == served.project.samples[1].content.stored_size
    assert len(sound) == 44 + 200
    assert len(raw) == 44 + 32_000
    assert video[4:8] == b"ftyp"


def test_boxes_make_the_round_trip(data: Any) -> None:
    """What was set is what is read, and replaces what was there."""
    for boxes in ([BOX, {**BOX, "x": 9}], [BOX]):
        request = m.SampleBoundingBoxesRequest(bounding_boxes=[m.BoundingBox(**box) for box in boxes])
        assert data.set_sample_bounding_boxes(1, 1, request).success
        assert [b.to_dict() for b in data.get_sample(1, 1).sample.bounding_boxes] == boxes


def test_ranges_make_the_round_trip(data: Any) -> None:
    """Later ranges paint over earlier ones, and equal neighbours become one."""
    ranges = [(0, 15_999, "a"), (100, 199, "b"), (150, 299, "b")]
    labels = [m.StructuredLabel(start_index=s, end_index=e, label=text) for s, e, text in ranges]
    data.set_sample_structured_labels(1, 9, m.SetSampleStructuredLabelsRequest(structured_labels=labels))
    found = data.get_sample(1, 9).sample.structured_labels
    assert [(r.start_index, r.end_index, r.label) for r in found] == [
        (0, 99, "a"),
        (100, 299, "b"),
        (300, 15_999, "a"),
    ]


def test_other_writes_change_their_field(served: Any, data: Any) -> None:
    """Label, metadata, disabled, category and name."""
    data.edit_label(1, 2, m.EditSampleLabelRequest(label="dog"))
    data.set_sample_metadata(1, 2, m.SetSampleMetadataRequest(metadata={"k": "v"}))
    data.disable_sample(1, 2)
    data.move_sample(1, 2, m.MoveRawDataRequest(new_category="testing"))
    data.rename_sample(1, 2, m.RenameSampleRequest(name="dog.jpg"))
    sample = data.get_sample(1, 2).sample
    assert (sample.label, sample.metadata, sample.is_disabled) == ("dog", {"k": "v"}, True)
    assert (sample.category, sample.filename) == ("testing", "dog.jpg")
    assert sample.last_updated_by.actual_instance.type == "projectApiKey"
    data.enable_sample(1, 2)
    assert not served.project.samples[2].is_disabled


def test_deleted_sample_is_gone(data: Any) -> None:
    """Reading it raises what Studio says."""
    data.delete_sample(1, 3)
    with pytest.raises(Exception, match="Sample not found"):
        data.get_sample(1, 3)
    assert data.count_samples(1, "all").count == 10


def propose(data: Any, job_id: int, sample_id: int, **changes: Any) -> None:
    """Propose by the official client."""
    request = m.SetSampleProposedChangesRequest(
        job_id=job_id, proposed_changes=m.SampleProposedChanges(**changes)
    )
    data.set_sample_proposed_changes(1, sample_id, request)


def test_next_step_sees_what_the_last_one_proposed(served: Any, data: Any) -> None:
    """proposedActionsJobId applies earlier steps to get and list; the sample itself stays."""
    job = served.project.add_job()
    propose(data, job.id, 1, bounding_boxes=[m.BoundingBox(**BOX)], metadata={"by": "step 0"})
    assert data.get_sample(1, 1, proposed_actions_job_id=job.id).sample.bounding_boxes == []
    job.step = 1
    seen = data.get_sample(1, 1, proposed_actions_job_id=job.id).sample
    listed = data.list_samples(1, "all", max_id=2, proposed_actions_job_id=job.id).samples[0]
    assert [b.label for b in seen.bounding_boxes] == [b.label for b in listed.bounding_boxes] == ["cat"]
    assert seen.metadata == {"by": "step 0"}
    assert data.get_sample(1, 1).sample.bounding_boxes == []


def test_proposal_replaces_that_of_the_same_step_only(served: Any, data: Any) -> None:
    """Steps are kept apart; within one the last call counts, whole."""
    job = served.project.add_job()
    propose(data, job.id, 1, label="first", is_disabled=True)
    propose(data, job.id, 1, label="second")
    job.step = 1
    propose(data, job.id, 1, label="third")
    rows = data.get_ai_actions_proposed_changes(1, job.id).proposed_changes
    assert [(r.step, r.proposed_changes.to_dict()) for r in rows] == [
        (0, {"label": "second"}),
        (1, {"label": "third"}),
    ]


def test_batches_change_the_chosen_samples(served: Any, data: Any) -> None:
    """`ids` and `excludeIds` narrow the filters."""
    samples = served.project.samples
    data.batch_disable(1, "all", ids="[1,2,3]", exclude_ids="[2]")
    data.batch_enable(1, "all", ids="[3]")
    assert [i for i, s in samples.items() if s.is_disabled] == [1]
    data.batch_edit_labels(1, "all", m.EditSampleLabelRequest(label="x"), ids="[4]")
    assert samples[4].label == "x"
    added = m.BatchAddMetadataRequest(metadata_key="k", metadata_value="v")
    data.batch_add_metadata(1, "training", added, data_type="audio")
    assert [i for i, s in samples.items() if s.metadata] == [9, 10]
    by_key = m.BatchClearMetadataByKeyRequest(metadata_key="k")
    data.batch_clear_metadata_by_key(1, "all", by_key, ids="[9]")
    data.batch_clear_metadata(1, "all", ids="[10]")
    assert not any(s.metadata for s in samples.values())


def test_batches_move_rename_boxes_and_delete(served: Any, data: Any) -> None:
    """An empty new label deletes the boxes of the old one."""
    samples = served.project.samples
    samples[5].boxes = [dict(BOX), {**BOX, "label": "dog"}]
    rename = m.BatchEditBoundingBoxesRequest(old_labels=["cat"], new_label="lynx")
    data.batch_edit_bounding_boxes(1, "all", rename, ids="[5]")
    remove = m.BatchEditBoundingBoxesRequest(old_labels=["dog"], new_label="")
    data.batch_edit_bounding_boxes(1, "all", remove, ids="[5]")
    assert [b["label"] for b in samples[5].boxes] == ["lynx"]
    data.batch_move(1, "all", m.MoveRawDataRequest(new_category="validation"), ids="[5,6]")
    assert data.count_samples(1, "validation").count == 2
    data.batch_delete(1, "validation")
    assert data.count_samples(1, "all").count == 9


def test_long_video_becomes_pictures_in_a_job(served: Any, data: Any, jobs: Any) -> None:
    """The client loses the job's id (its anyOf trap), so it is read from the list of jobs."""
    answer = data.split_sample_in_frames(1, 11, m.SplitSampleInFramesRequest(fps=2))
    assert answer.actual_instance.success
    assert data.get_sample(1, 11).sample.is_processing
    job_id = next(iter(served.project.jobs))
    assert jobs.get_job_status(1, job_id).job.finished_successful
    frames = data.list_samples(1, "all", search="video.frame").samples
    assert [s.chart_type for s in frames] == ["image", "image"]
    assert served.project.samples[frames[0].id].frames_of == 11


def action_request(**more: Any) -> Any:
    """Settings of an action with one step."""
    step = m.AIActionsConfigStep(transformation_block_id=7, parameters={"prompt": "a cat"})
    return m.UpdateAIActionRequest(
        name="Find cats", steps=[step], data_category="enabledData", set_metadata_after_running=[], **more
    )


def test_actions_are_made_changed_ordered_and_deleted(projects: Any) -> None:
    """The whole life of an action."""
    assert projects.get_new_ai_action(1).action.config.steps == []
    first, second = (projects.create_ai_action(1).id for _ in range(2))
    projects.update_ai_action(1, first, action_request())
    projects.set_ai_actions_order(1, m.SetAIActionsOrderRequest(order_by_action_id=[second, first]))
    assert [a.id for a in projects.list_ai_actions(1).actions] == [second, first]
    assert projects.get_ai_action(1, first).action.config.steps[0].parameters == {"prompt": "a cat"}
    projects.delete_ai_action(1, second)
    assert [a.display_name for a in projects.list_ai_actions(1).actions] == ["Find cats"]


def test_preview_runs_shows_and_clears(projects: Any, jobs: Any, data: Any) -> None:
    """Random samples, a job over them, its proposals in the action, and away with them."""
    action = projects.create_ai_action(1).id
    wish = m.PreviewAIActionsSamplesRequest(
        save_config=True, data_category="allData", max_data_preview_count=3
    )
    samples = projects.preview_ai_actions_samples(1, action, wish)
    assert (len(samples.samples), samples.total_count) == (3, 11)
    ids = [s.id for s in samples.samples]
    start = m.CreatePreviewAIActionsJobRequest(steps=[], sample_ids=ids, cache_unchanged_steps=False)
    job = jobs.create_preview_ai_actions_job(1, action, start).id
    propose(data, job, ids[0], label="cat")
    state = projects.get_ai_action(1, action).action.last_preview_state
    assert [p.proposed_changes.label for p in state.proposed_changes] == ["cat"]
    projects.clear_ai_actions_proposed_changes(1, action)
    assert data.get_ai_actions_proposed_changes(1, job).proposed_changes == []


def test_apply_job_has_the_samples_that_its_settings_choose(served: Any, projects: Any, jobs: Any) -> None:
    """The server decides which, from the saved settings."""
    action = projects.create_ai_action(1).id
    projects.update_ai_action(1, action, action_request())
    served.project.samples[1].is_disabled = True
    job = served.project.jobs[jobs.create_ai_actions_job(1, action).id]
    assert (len(job.sample_ids), 1 in job.sample_ids) == (10, False)


def test_job_is_watched_and_cancelled(served: Any, jobs: Any) -> None:
    """Status, log and cancel."""
    job = served.project.add_job()
    job.log("Labeling")
    assert [line.data for line in jobs.get_jobs_logs(1, job.id).stdout] == ["Labeling"]
    assert jobs.get_job_status(1, job.id).job.finished is None
    jobs.cancel_job(1, job.id)
    assert jobs.get_job_status(1, job.id).job.finished_successful is False


def test_model_answers_an_uploaded_picture(served: Any, client: Any, tmp_path: Path) -> None:
    """A project without an impulse says so; with one it finds what was drawn."""
    assert ImpulseApi(client).get_impulse(1).impulse is None
    served.project.classify = answer_with_boxes
    assert ImpulseApi(client).get_impulse(1).impulse.learn_blocks[0].type == "keras-object-detection"
    file = tmp_path / "scene.jpg"
    file.write_bytes(served.project.samples[1].content.data())
    answer = ClassifyApi(client).classify_image(1, str(file))
    assert len(answer.bounding_boxes) == len(served.project.truth[1])


def test_organisation_lists_its_blocks(served: Any) -> None:
    """With a key of the organisation only."""
    served.studio.blocks.append({"name": "Labelbus", "aiActionsOperatesOn": ["images_object_detection"]})
    served.studio.add_key("ei_org", None, "admin")
    with connect(served.url, "ei_org") as organisation:
        blocks = OrganizationBlocksApi(organisation).list_organization_transformation_blocks(1)
    assert [b.name for b in cast(Any, blocks).transformation_blocks] == ["Labelbus"]
