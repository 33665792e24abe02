"""The ingestion service: uploads of files with their labels."""

import json
import re
from urllib.parse import unquote

from labelbus_simulator.call import Call, RouteTable
from labelbus_simulator.dataset import NewSample, uploaded
from labelbus_simulator.documents import Doc
from labelbus_simulator.errors import NotAllowed, Refused
from labelbus_simulator.filters import CATEGORIES
from labelbus_simulator.multipart import Part, read_parts
from labelbus_simulator.project import Project

routes = RouteTable()
_MOST_FILES = 1000
_SIDECARS = ("bounding_boxes.labels", "structured_labels.labels")


@routes.add("ingest", "POST", "/api/{category}/files", writes=True)
def ingest(call: Call) -> Doc:
    """Add every part named `data`; a 200 may hold files that failed."""
    category = str(call.path["category"])
    if category not in (*CATEGORIES, "split"):
        raise Refused(f"Unknown category {category}")
    if call.key.project_id is None or call.key.role == "readonly":
        raise NotAllowed("This API key may not upload")
    parts = [p for p in read_parts(call.headers.get("content-type", ""), call.body) if p.name == "data"]
    if len(parts) > _MOST_FILES:
        raise Refused(f"At most {_MOST_FILES} files per request")
    sidecars = {p.filename: json.loads(p.data) for p in parts if p.filename in _SIDECARS}
    project = call.studio.project(call.key.project_id)
    files = [_add(call, project, part, sidecars) for part in parts if part.filename not in _SIDECARS]
    return {"files": files}


def _add(call: Call, project: Project, part: Part, sidecars: dict[str, Doc]) -> Doc:
    new = uploaded(part.filename, part.data, **_fields(call, project, part, sidecars))
    if call.headers.get("x-disallow-duplicates") == "1" and _is_known(project, new):
        error = "An item with this hash already exists"
        return {"success": False, "fileName": part.filename, "error": error}
    sample_id = project.add([new])[0]
    return {"success": True, "fileName": part.filename, "sampleId": sample_id, "projectId": project.id}


def _is_known(project: Project, new: NewSample) -> bool:
    return any(sample.content.digest == new.content.digest for sample in project.samples.values())


def _fields(call: Call, project: Project, part: Part, sidecars: dict[str, Doc]) -> Doc:
    category = str(call.path["category"])
    fields: Doc = {
        "category": "training" if category == "split" else category,
        "label": _label(call, part.filename),
        "metadata": json.loads(call.headers.get("x-metadata", "{}")),
    }
    boxes = sidecars.get(_SIDECARS[0], {}).get("boundingBoxes", {}).get(part.filename)
    if boxes is None and (given := call.headers.get("x-bounding-boxes")):
        boxes = json.loads(given)
    if boxes and project.labeling_method == "object_detection":
        fields["boxes"] = boxes
    ranges = sidecars.get(_SIDECARS[1], {}).get("structuredLabels", {}).get(part.filename)
    return {**fields, "ranges": ranges} if ranges else fields


def _label(call: Call, filename: str) -> str:
    if call.headers.get("x-no-label") == "1":
        return ""
    if (given := call.headers.get("x-label")) is not None:
        return unquote(given)
    found = re.match(r"[a-zA-Z0-9\s_-]+", filename)
    return found.group(0) if found else ""
