"""Answers satisfy the official models where these validate, which the client's own parser skips."""

from typing import Any

import edgeimpulse_api.models as m
import pytest
from labelbus_simulator.models import answer_with_boxes

ANSWERS = [
    ("/api/projects", m.ListProjectsResponse),
    ("/api/1", m.ProjectInfoResponse),
    ("/api/1/raw-data?category=all", m.ListSamplesResponse),
    ("/api/1/raw-data/count?category=all", m.CountSamplesResponse),
    ("/api/1/raw-data/1", m.GetSampleResponse),
    ("/api/1/raw-data/9?limitPayloadValues=4", m.GetSampleResponse),
    ("/api/1/raw-data/11", m.GetSampleResponse),
    ("/api/1/raw-data/ai-actions-preview/1/proposed-changes", m.GetAIActionsProposedChangesResponse),
    ("/api/1/ai-actions", m.ListAIActionsResponse),
    ("/api/1/jobs/1/status", m.GetJobResponse),
    ("/api/1/jobs/1/stdout", m.LogStdoutResponse),
    ("/api/1/impulse", m.GetImpulseResponse),
    ("/api/organizations/1/transformation", m.ListOrganizationTransformationBlocksResponse),
]


@pytest.mark.parametrize(("path", "model"), ANSWERS)
def test_answer_satisfies_the_official_model(served: Any, path: str, model: Any) -> None:
    """No field is missing, and whole numbers are whole."""
    job = served.project.add_job(action_id=served.project.add_action().id, sample_ids=[1])
    job.log("Line")
    served.project.propose(job.id, 1, {"label": "x", "boundingBoxes": [], "metadata": {"k": "v"}})
    served.project.action(1).last_preview_job = job.id
    served.project.samples[1].boxes = [{"label": "a", "x": 1, "y": 1, "width": 2, "height": 2}]
    served.project.samples[9].ranges = [{"startIndex": 0, "endIndex": 15_999, "label": "a"}]
    served.project.classify = answer_with_boxes
    served.studio.blocks.append({"name": "Labelbus"})
    served.studio.add_key("ei_org", None, "admin")
    key = "ei_org" if "organizations" in path else served.project.key
    model.parse_obj(served.http.get(path, headers={"x-api-key": key}).json())
