"""Changing one sample."""

from labelbus_simulator.call import Call, RouteTable
from labelbus_simulator.documents import Doc
from labelbus_simulator.errors import Refused
from labelbus_simulator.filters import CATEGORIES
from labelbus_simulator.labels import check_boxes, check_integer, check_metadata, check_ranges, check_text

routes = RouteTable()
_ONE = "/api/{project}/raw-data/{sample}"


@routes.add("set-boxes", "POST", f"{_ONE}/bounding-boxes", writes=True)
def set_boxes(call: Call) -> None:
    """Replace all boxes."""
    sample = call.sample
    sample.boxes = check_boxes(call.json.get("boundingBoxes"), sample.size, call.studio.options.boxes_outside)
    sample.touch(call.by)


@routes.add("set-ranges", "POST", f"{_ONE}/structured-labels", writes=True)
def set_ranges(call: Call) -> None:
    """Replace all ranges, which must cover the sample."""
    sample = call.sample
    sample.ranges = check_ranges(call.json.get("structuredLabels"), sample.values_count)
    sample.touch(call.by)


@routes.add("edit-label", "POST", f"{_ONE}/edit-label", writes=True)
def edit_label(call: Call) -> None:
    """Set the label; none given clears it."""
    label = call.json.get("label")
    call.sample.label = "" if label is None else check_text(label, "label")
    call.sample.touch(call.by)


@routes.add("set-metadata", "POST", f"{_ONE}/metadata", writes=True)
def set_metadata(call: Call) -> None:
    """Add to the metadata, or replace it, as the options say."""
    sample, given = call.sample, check_metadata(call.json.get("metadata", {}))
    merge = call.studio.options.metadata_post == "merge"
    sample.metadata = {**sample.metadata, **given} if merge else given
    sample.touch(call.by)


@routes.add("disable", "POST", f"{_ONE}/disable", writes=True)
def disable(call: Call) -> None:
    """Exclude the sample from use."""
    call.sample.is_disabled = True
    call.sample.touch(call.by)


@routes.add("enable", "POST", f"{_ONE}/enable", writes=True)
def enable(call: Call) -> None:
    """Use the sample again."""
    call.sample.is_disabled = False
    call.sample.touch(call.by)


@routes.add("move", "POST", f"{_ONE}/move", writes=True)
def move(call: Call) -> None:
    """Put the sample into another category."""
    category = call.text("newCategory")
    if category not in CATEGORIES:
        raise Refused("newCategory should be one of " + ", ".join(CATEGORIES))
    call.sample.category = category
    call.sample.touch(call.by)


@routes.add("rename", "POST", f"{_ONE}/rename", writes=True)
def rename(call: Call) -> None:
    """Give the sample another file name."""
    call.sample.filename = call.text("name")
    call.sample.touch(call.by)


@routes.add("delete-sample", "DELETE", _ONE, writes=True)
def delete_sample(call: Call) -> None:
    """Delete the sample."""
    call.project.delete(call.sample.id)


@routes.add("retry-processing", "POST", f"{_ONE}/retry-processing", writes=True)
def retry_processing(call: Call) -> None:
    """Take a failed sample back into processing."""
    call.sample.processing_error = None
    call.sample.is_processing = True


@routes.add("propose", "POST", f"{_ONE}/propose-changes", writes=True)
def propose(call: Call) -> None:
    """Keep proposed changes; the sample stays as it is."""
    job_id = check_integer(call.json.get("jobId"), "jobId")
    call.project.propose(job_id, call.sample.id, call.json.get("proposedChanges"))


@routes.add("split-video", "POST", f"{_ONE}/split", writes=True)
def split_video(call: Call) -> Doc:
    """Split a video into pictures, in a job unless options say at once."""
    sample, options = call.sample, call.studio.options
    if sample.kind != "video":
        raise Refused("Sample is not a video")
    if sample.is_processing:
        raise Refused("Sample is still processing")
    fps = call.json.get("fps")
    if fps is not None and check_integer(fps, "fps") < 1:
        raise Refused("fps should be 1 or more")
    job = call.project.add_job("split-sample", category="Split video", split_sample=sample.id, split_fps=fps)
    if options.split_answers == "generic":
        if sample.video_is_broken:
            job.finish(success=False)
            raise Refused("Could not read the video")
        call.project.finish_split(job)
        return {}
    sample.is_processing, sample.processing_job_id = True, job.id
    job.polls_left = options.split_polls
    return {"id": job.id}
