"""A custom block as Edge Impulse's own are written, with the official client: one box more in every image."""

import argparse
import json
import os
from pathlib import Path

from edgeimpulse_api import ApiClient, Configuration, ProjectsApi, RawDataApi
from edgeimpulse_api.models.bounding_box import BoundingBox
from edgeimpulse_api.models.sample_bounding_boxes_request import SampleBoundingBoxesRequest
from edgeimpulse_api.models.sample_proposed_changes import SampleProposedChanges
from edgeimpulse_api.models.set_sample_metadata_request import SetSampleMetadataRequest
from edgeimpulse_api.models.set_sample_proposed_changes_request import SetSampleProposedChangesRequest

parser = argparse.ArgumentParser()
parser.add_argument("--label", required=True)
parser.add_argument("--data-ids-file", required=True)
parser.add_argument("--propose-actions", type=int)
args, _ = parser.parse_known_args()

host, key = os.environ["EI_API_ENDPOINT"], os.environ["EI_PROJECT_API_KEY"]
client = ApiClient(Configuration(host=host, api_key={"ApiKeyAuthentication": key}))
project = ProjectsApi(client).list_projects().projects[0].id
raw = RawDataApi(client)
for one in json.loads(Path(args.data_ids_file).read_text()):
    sample = raw.get_sample(project, one, proposed_actions_job_id=args.propose_actions).sample
    image = raw.get_sample_as_image(project, one, _preload_content=False).data
    boxes = [*sample.bounding_boxes, BoundingBox(label=args.label, x=1, y=2, width=30, height=20)]
    metadata = {**(sample.metadata or {}), "labeled_by": "a custom block", "image_bytes": str(len(image))}
    if args.propose_actions:
        changes = SampleProposedChanges(boundingBoxes=boxes, metadata=metadata)
        request = SetSampleProposedChangesRequest(jobId=args.propose_actions, proposedChanges=changes)
        raw.set_sample_proposed_changes(project, one, request)
    else:
        raw.set_sample_bounding_boxes(project, one, SampleBoundingBoxesRequest(boundingBoxes=boxes))
        raw.set_sample_metadata(project, one, SetSampleMetadataRequest(metadata=metadata))
    print("Labeled", one, flush=True)
