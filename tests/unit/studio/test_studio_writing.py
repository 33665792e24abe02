"""Writing: the exact body of each call."""

import json

import httpx
import pytest
from labelbus_contracts.labels import BoundingBox, TimeRange
from labelbus_studio import ProposedChanges, StudioAction, StudioClient, StudioStep
from labelbus_studio.testing import ScriptedStudio

BOX = BoundingBox(label="cat", x=1, y=-2, width=3, height=4, score=0.5, source="owl-vit#0")
BOX_BODY = {"label": "cat", "x": 1, "y": -2, "width": 3, "height": 4}
RANGES = (
    TimeRange(start_index=0, end_index=9, label="a", score=0.1),
    TimeRange(start_index=10, end_index=19, label="b", label_map={"k": "v"}),
)
RANGES_BODY = [
    {"startIndex": 0, "endIndex": 9, "label": "a"},
    {
        "startIndex": 10,
        "endIndex": 19,
        "label": "b",
        "labelMap": {"type": "key-values", "labels": {"k": "v"}},
    },
]


async def test_each_write_sets_its_part(client: StudioClient, studio: ScriptedStudio) -> None:
    """Boxes, ranges, label, metadata and flags each have a path and a body; scores stay with us."""
    await client.set_bounding_boxes(7, 42, [BOX])
    await client.set_structured_labels(7, 42, RANGES)
    await client.edit_label(7, 42, "dog")
    await client.set_metadata(7, 42, {"labeled_by": "owl-vit"})
    await client.disable(7, 42)
    await client.enable(7, 42)
    kinds = ("bounding-boxes", "structured-labels", "edit-label", "metadata", "disable", "enable")
    assert studio.paths == [f"POST /v1/api/7/raw-data/42/{kind}" for kind in kinds]
    assert studio.bodies == [
        {"boundingBoxes": [BOX_BODY]},
        {"structuredLabels": RANGES_BODY},
        {"label": "dog"},
        {"metadata": {"labeled_by": "owl-vit"}},
        None,
        None,
    ]


async def test_pixels_are_written_as_integers(client: StudioClient, studio: ScriptedStudio) -> None:
    """A box made without validation still leaves as whole numbers, for Studio refuses others."""
    await client.set_bounding_boxes(7, 42, [BOX.model_copy(update={"x": 1.0, "width": True})])
    assert b'"x":1,' in studio.requests[0].content
    assert b'"width":1,' in studio.requests[0].content


async def test_a_proposal_holds_only_what_changes(client: StudioClient, studio: ScriptedStudio) -> None:
    """Parts that are None are left out, empty ones are sent, and no change is an empty object."""
    await client.propose(7, 42, 5, ProposedChanges())
    await client.propose(
        7, 42, 5, ProposedChanges(label="", is_disabled=False, boxes=(), metadata={}, ranges=RANGES)
    )
    assert studio.paths == ["POST /v1/api/7/raw-data/42/propose-changes"] * 2
    assert studio.bodies == [
        {"jobId": 5, "proposedChanges": {}},
        {
            "jobId": 5,
            "proposedChanges": {
                "label": "",
                "isDisabled": False,
                "boundingBoxes": [],
                "metadata": {},
                "structuredLabels": RANGES_BODY,
            },
        },
    ]


async def test_proposals_read_back_as_they_were_written(client: StudioClient, studio: ScriptedStudio) -> None:
    """What one proposes is what one reads, by sample and step."""
    changes = ProposedChanges(label="x", is_disabled=True, boxes=(BOX,), metadata={"a": "b"}, ranges=RANGES)
    row = {"sampleId": 42, "step": 1, "proposedChanges": changes.body()}
    studio.queue(httpx.Response(200, json={"success": True, "proposedChanges": [row, {"sampleId": 43}]}))
    first, second = await client.proposals(7, 5)
    assert (first.sample_id, first.step, first.changes.body()) == (42, 1, changes.body())
    assert (second.sample_id, second.step, second.changes) == (43, None, ProposedChanges())
    await client.clear_proposals(7, 3)
    assert studio.paths == [
        "GET /v1/api/7/raw-data/ai-actions-preview/5/proposed-changes",
        "GET /v1/api/7/ai-actions/3/clear-proposed-changes",
    ]


async def test_batches_go_in_parts_of_300(client: StudioClient, studio: ScriptedStudio) -> None:
    """Seven hundred ids take three calls, each id once, and the last job's id comes back."""
    studio.queue(httpx.Response(200, json={"success": True, "id": 8}))
    assert await client.add_metadata(7, [*range(700), 5], "done", "yes") == 8
    sent = [json.loads(request.url.params["ids"]) for request in studio.requests]
    assert [len(part) for part in sent] == [300, 300, 100]
    assert sorted(one for part in sent for one in part) == list(range(700))
    assert {request.url.params["category"] for request in studio.requests} == {"all"}
    assert studio.bodies == [{"metadataKey": "done", "metadataValue": "yes"}] * 3
    assert max(len(str(request.url)) for request in studio.requests) < 8000


@pytest.mark.parametrize("what", ["disable_samples", "enable_samples"])
async def test_a_batch_of_nothing_changes_nothing(
    client: StudioClient, studio: ScriptedStudio, what: str
) -> None:
    """No ids is no call: Studio would take it for every sample."""
    assert await getattr(client, what)(7, []) is None
    assert studio.requests == []


async def test_batch_labels_and_flags(client: StudioClient, studio: ScriptedStudio) -> None:
    """The other batches have their paths; without a job there is no id."""
    assert await client.edit_labels(7, [1], "cat") is None
    await client.disable_samples(7, [2, 1])
    assert studio.paths == [
        "POST /v1/api/7/raw-data/batch/edit-labels",
        "POST /v1/api/7/raw-data/batch/disable-samples",
    ]
    assert studio.bodies == [{"label": "cat"}, None]
    assert studio.requests[1].url.params["ids"] == "[1,2]"


async def test_an_action_is_saved_whole(client: StudioClient, studio: ScriptedStudio) -> None:
    """Updating an action sends every step and all metadata, and leaves out what is not set."""
    action = StudioAction(
        id=3, name="find cats", steps=(StudioStep(11, {"prompt": "a cat"}),), metadata_after={"done": "yes"}
    )
    await client.update_ai_action(7, action)
    await client.order_ai_actions(7, [3, 1])
    assert studio.paths == ["POST /v1/api/7/ai-actions/3", "POST /v1/api/7/ai-actions/order"]
    assert studio.bodies == [
        {
            "name": "find cats",
            "steps": [{"transformationBlockId": 11, "parameters": {"prompt": "a cat"}}],
            "dataCategory": "allData",
            "setMetadataAfterRunning": [{"key": "done", "value": "yes"}],
        },
        {"orderByActionId": [3, 1]},
    ]


async def test_an_action_is_read(client: StudioClient, studio: ScriptedStudio) -> None:
    """An action's steps, data and metadata are found under their config."""
    action = {
        "id": 3,
        "displayName": "find cats",
        "config": {
            "dataCategory": "dataWithMetadata",
            "dataMetadataKey": "k",
            "dataMetadataValue": "v",
            "steps": [{"transformationBlockId": 11, "parameters": {"prompt": "a cat"}}],
        },
        "setMetadataAfterRunning": [{"key": "done", "value": "yes"}],
    }
    studio.queue(httpx.Response(200, json={"success": True, "actions": [action]}))
    expected = StudioAction(
        3, "find cats", (StudioStep(11, {"prompt": "a cat"}),), "dataWithMetadata", "k", "v", {"done": "yes"}
    )
    assert await client.ai_actions(7) == [expected]
