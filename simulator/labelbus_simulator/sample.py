"""A sample: its state, its JSON as Studio shows it, and that JSON with proposals applied."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from labelbus_simulator.content import Clip, Content, Kind, Scene
from labelbus_simulator.documents import Doc
from labelbus_simulator.labels import labels_of

_START = datetime(2026, 1, 1, tzinfo=UTC)
_SENSORS: Mapping[Kind, list[Doc]] = {
    "image": [{"index": 0, "name": "image", "units": "rgba"}],
    "video": [{"index": 0, "name": "video", "units": "rgba"}],
    "table": [{"index": 0, "name": "values", "units": "N/A"}],
    "audio": [],
}
_CHARTS: Mapping[Kind, str] = {"image": "image", "video": "video", "table": "table", "audio": "chart"}


def added_at(sample_id: int) -> datetime:
    """When a sample was added: one minute per id, so that date filters can be tested without a clock."""
    return _START + timedelta(minutes=sample_id)


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, as Studio writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """The present moment, as Studio writes it."""
    return iso(datetime.now(UTC))


@dataclass(slots=True)
class Sample:
    """One sample; `boxes` and `ranges` are lists of the API's JSON objects. Change them freely in tests."""

    id: int
    project_id: int
    filename: str
    content: Content
    category: str = "training"
    label: str = ""
    boxes: list[Doc] = field(default_factory=list)
    ranges: list[Doc] = field(default_factory=list)
    label_map: Doc | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    is_disabled: bool = False
    is_processing: bool = False
    processing_error: str | None = None
    processing_job_id: int | None = None
    size: tuple[int, int] | None = None
    values_count: int = 1
    frequency: float = 0.0
    channels: int = 1
    video_frames: int = 0
    video_seconds: float | None = None
    """Length of a video whose frames are as many as the split's frames per second make of it."""
    video_is_broken: bool = False
    """Whether the job that splits the video fails."""
    last_modified: str = ""
    last_updated_by: Doc | None = None
    frames_of: int | None = None

    def __post_init__(self) -> None:
        self.last_modified = self.last_modified or iso(added_at(self.id))

    @property
    def kind(self) -> Kind:
        return self.content.kind

    @property
    def interval_ms(self) -> float:
        return 1000 / self.frequency if self.frequency else 0.0

    @property
    def length_ms(self) -> float:
        return self.values_count * self.interval_ms

    @property
    def labels(self) -> list[str]:
        return labels_of(self.boxes, self.ranges, self.label)

    @property
    def sensors(self) -> list[Doc]:
        if self.kind != "audio":
            return _SENSORS[self.kind]
        names = ["audio"] if self.channels == 1 else [f"audio{i}" for i in range(self.channels)]
        return [{"index": i, "name": name, "units": "wav"} for i, name in enumerate(names)]

    def touch(self, by: Doc) -> None:
        """Remember who changed the sample, and when."""
        self.last_modified, self.last_updated_by = now(), by


def measures(content: Content, *, upright: bool) -> Doc:
    """The fields of a Sample that follow from its content, as far as it is one that we drew."""
    if isinstance(content, Scene):
        size = (content.width, content.height) if upright else content.stored_size
        return {"size": size}
    if isinstance(content, Clip):
        return {
            "values_count": content.length,
            "frequency": float(content.rate),
            "channels": content.channels,
        }
    return {}


def sample_json(
    sample: Sample, project: Doc, *, with_sensors: bool = True, ranges_limit: int | None = None
) -> Doc:
    """The sample as the API answers it. `project` holds name, owner and labeling method."""
    sensors = sample.sensors if with_sensors else []
    ranges = sample.ranges if ranges_limit is None else sample.ranges[:ranges_limit]
    added, chart = iso(added_at(sample.id)), _CHARTS[sample.kind]
    stream: Doc = {
        "index": 0,
        "chartType": chart,
        "intervalMs": sample.interval_ms,
        "frequencyHz": sample.frequency,
        "sensors": sensors,
        "valuesCount": sample.values_count,
        "totalLengthMs": sample.length_ms,
    }
    doc: Doc = {
        "id": sample.id,
        "filename": sample.filename,
        "signatureValidate": True,
        "created": added,
        "lastModified": sample.last_modified,
        "category": sample.category,
        "coldstorageFilename": f"project-{sample.project_id}/{sample.id}",
        "label": sample.label,
        "intervalMs": sample.interval_ms,
        "frequency": sample.frequency,
        "originalIntervalMs": sample.interval_ms,
        "originalFrequency": sample.frequency,
        "deviceName": "labelbus-simulator",
        "deviceType": "EDGE_IMPULSE_UPLOADER",
        "sensors": sensors,
        "valuesCount": sample.values_count,
        "totalLengthMs": sample.length_ms,
        "added": added,
        "boundingBoxes": sample.boxes,
        "boundingBoxesType": "object_detection",
        "chartType": chart,
        "isDisabled": sample.is_disabled,
        "isProcessing": sample.is_processing,
        "processingError": sample.processing_error is not None,
        "isCropped": False,
        "metadata": sample.metadata,
        "projectId": sample.project_id,
        **project,
        "sha256Hash": sample.content.digest,
        "datastreams": [stream],
    }
    if sample.size:
        doc["imageDimensions"] = stream["imageDimensions"] = {
            "width": sample.size[0],
            "height": sample.size[1],
        }
    if ranges:
        doc["structuredLabels"] = ranges
        doc["structuredLabelsList"] = list(dict.fromkeys(item["label"] for item in ranges))
    _add_optional(doc, sample)
    return doc


def _add_optional(doc: Doc, sample: Sample) -> None:
    optional = {
        "processingErrorString": sample.processing_error,
        "processingJobId": sample.processing_job_id,
        "labelMap": sample.label_map,
        "lastUpdatedBy": sample.last_updated_by,
    }
    doc.update({key: value for key, value in optional.items() if value is not None})


def with_proposals(doc: Doc, proposals: Iterable[Doc]) -> Doc:
    """The sample's JSON as it would be if `proposals` (earliest first) were applied."""
    for changes in proposals:
        doc = {**doc, **{key: value for key, value in changes.items() if value is not None}}
    if doc.get("structuredLabels"):
        doc["structuredLabelsList"] = list(dict.fromkeys(item["label"] for item in doc["structuredLabels"]))
    return doc
