"""Reading samples: list, count, one, its bytes, proposals."""

import numpy as np

from labelbus_simulator import clips
from labelbus_simulator.call import Call, Reply, RouteTable
from labelbus_simulator.content import Clip
from labelbus_simulator.documents import Doc
from labelbus_simulator.errors import Refused
from labelbus_simulator.filters import integer, parse_filter
from labelbus_simulator.sample import Sample

routes = RouteTable()
_ONE = "/api/{project}/raw-data/{sample}"


@routes.add("list-samples", "GET", "/api/{project}/raw-data")
def list_samples(call: Call) -> Doc:
    """A page of samples, highest id first."""
    options, project = call.studio.options, call.project
    found = project.find(parse_filter(call.query, options.empty_labels_filter))
    if call.query.get("sortBy") == "random":
        found = project.at_random(found, len(found))
    start, limit = integer(call.query, "offset") or 0, integer(call.query, "limit")
    size = limit if limit is not None else options.default_page_size
    if options.max_page_size is not None:
        size = min(size if size is not None else options.max_page_size, options.max_page_size)
    page = found[start:] if size is None else found[start : start + size]
    short = 5 if call.flag("truncateStructuredLabels") else None
    sensors = not call.flag("excludeSensors")
    shown = [project.show(s, call.preview_job, with_sensors=sensors, ranges_limit=short) for s in page]
    return {"samples": shown, "totalCount": len(found)}


@routes.add("count-samples", "GET", "/api/{project}/raw-data/count")
def count_samples(call: Call) -> Doc:
    """How many samples pass the filters."""
    wanted = parse_filter(call.query, call.studio.options.empty_labels_filter)
    return {"count": len(call.project.find(wanted))}


@routes.add("list-metadata", "GET", "/api/{project}/raw-data/metadata")
def list_metadata(call: Call) -> Doc:
    """Metadata of every sample of a category."""
    found = call.project.find(parse_filter(call.query, "none"))
    return {"metadata": [{"id": s.id, "metadata": s.metadata} for s in found if s.metadata]}


@routes.add("get-sample", "GET", _ONE)
def get_sample(call: Call) -> Doc:
    """One sample with its values, as many as `limitPayloadValues` allows."""
    sample = call.sample
    limit = integer(call.query, "limitPayloadValues")
    short = 5 if call.flag("truncateStructuredLabels") else None
    payload = {
        "device_type": "EDGE_IMPULSE_UPLOADER",
        "sensors": sample.sensors,
        "values": _values(sample, limit),
        "intervalMs": sample.interval_ms,
        "frequencyHz": sample.frequency,
    }
    stream = {"index": 0, "payload": payload, "totalPayloadLength": sample.values_count}
    return {
        "sample": call.project.show(sample, call.preview_job, ranges_limit=short),
        "payload": payload,
        "totalPayloadLength": sample.values_count,
        "datastreamPayloads": [stream],
    }


@routes.add("get-image", "GET", f"{_ONE}/image")
def get_image(call: Call) -> Reply:
    """The picture's bytes as they were uploaded."""
    sample = call.sample
    if sample.kind not in ("image", "video"):
        raise Refused("Sample is not an image")
    return _media(call, sample)


@routes.add("get-wav", "GET", f"{_ONE}/wav")
def get_wav(call: Call) -> Reply:
    """One axis, or a slice of it (`sliceEnd` exclusive), as a WAV. Damaged sound is answered as it is."""
    sample, axis = call.sample, integer(call.query, "axisIx")
    if axis is None:
        raise Refused("axisIx is required")
    if sample.kind != "audio":
        raise Refused("Sample is not audio")
    if not 0 <= axis < sample.channels:
        raise Refused(f"axisIx should be between 0 and {sample.channels - 1}")
    if sample.is_processing:
        return _media(call, sample)
    start, end = integer(call.query, "sliceStart"), integer(call.query, "sliceEnd")
    try:
        values, rate = _sound(sample)
    except ValueError:
        return _media(call, sample)
    if not len(values):
        return _media(call, sample)
    if (start or 0) < 0 or (end is not None and end > len(values)) or (start or 0) >= (end or len(values)):
        raise Refused(f"sliceStart and sliceEnd should lie within 0 and {len(values)}")
    return Reply(clips.wav(np.ascontiguousarray(values[start:end, axis : axis + 1]), rate), "audio/wav")


@routes.add("get-raw", "GET", f"{_ONE}/raw")
def get_raw(call: Call) -> Reply:
    """The bytes as they were uploaded, whatever they are."""
    return Reply(call.sample.content.data(), "application/octet-stream")


@routes.add("get-video", "GET", f"{_ONE}/video")
def get_video(call: Call) -> Reply:
    """A video's bytes."""
    if call.sample.kind != "video":
        raise Refused("Sample is not a video")
    return _media(call, call.sample)


@routes.add("get-proposals", "GET", "/api/{project}/raw-data/ai-actions-preview/{job}/proposed-changes")
def get_proposals(call: Call) -> Doc:
    """Everything proposed in a job."""
    return {"proposedChanges": call.project.proposals(call.number("job"))}


def _media(call: Call, sample: Sample) -> Reply:
    if sample.is_processing:
        if call.studio.options.processing_media == "refuse":
            raise Refused("Sample is still processing")
        return Reply(b"", sample.content.media_type)
    if sample.processing_error is not None:
        raise Refused(f"Sample failed to process: {sample.processing_error}")
    return Reply(sample.content.data(), sample.content.media_type)


def _sound(sample: Sample) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int16]], int]:
    content = sample.content
    if isinstance(content, Clip):
        return content.values(), content.rate
    return clips.read_wav(content.data())


def _values(sample: Sample, limit: int | None) -> list[list[int]]:
    if sample.kind != "audio" or limit == 0:
        return []
    try:
        values, _ = _sound(sample)
    except ValueError:
        return []
    shown: list[list[int]] = values[:limit].tolist()
    return shown
