"""Parsing: what Studio may leave out, round, or add."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelbus_contracts.labels import BoundingBox, ClassLabel, LabelingMethod, TimeRange
from labelbus_studio import StudioConfused, is_unlabeled
from labelbus_studio.answers import Json
from labelbus_studio.proposals import read_proposal
from labelbus_studio.samples import read_sample, read_samples

FIELDS = [
    "id",
    "filename",
    "label",
    "created",
    "lastModified",
    "category",
    "boundingBoxes",
    "boundingBoxesType",
    "chartType",
    "isDisabled",
    "isProcessing",
    "processingError",
    "processingErrorString",
    "metadata",
    "sha256Hash",
    "structuredLabels",
    "imageDimensions",
    "labelMap",
    "lastUpdatedBy",
    "datastreams",
    "frequency",
    "valuesCount",
    "added",
    "projectLabelingMethod",
    "sampleId",
    "step",
    "proposedChanges",
]
NESTED = [
    "label",
    "x",
    "y",
    "width",
    "height",
    "startIndex",
    "endIndex",
    "labels",
    "type",
    "frequencyHz",
    "valuesCount",
    "a",
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("image"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NESTED), inner, max_size=6),
    max_leaves=12,
)


@given(row=st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_odd_values_confuse_and_never_crash(row: Json) -> None:
    """Whatever a field holds, a sample is read or the answer is confusing."""
    for read in (read_sample, read_proposal):
        try:
            read(row)
        except StudioConfused as error:
            assert len(str(error)) < 300


def test_a_bare_sample_is_read() -> None:
    """Only the id is needed."""
    sample = read_sample({"id": 5})
    assert (sample.id, sample.labels.label, sample.labels.boxes, sample.facts.kind) == (5, None, (), "other")
    assert (sample.is_processing, sample.processing_error, sample.last_modified) == (False, None, None)


def test_nulls_are_absent() -> None:
    """Null says the same as leaving out."""
    assert read_sample(dict.fromkeys(FIELDS) | {"id": 5}) == read_sample({"id": 5})


def test_boxes_are_rounded_and_may_be_empty() -> None:
    """Float pixels are rounded, sides of 0 kept, negative sides are 0, boxes outside the image stay."""
    rows = [
        {"label": "a", "x": 1.6, "y": -3, "width": 0, "height": 2.4},
        {"x": 5000, "y": 1, "width": -1, "height": 1},
    ]
    assert read_sample({"id": 1, "boundingBoxes": rows}).labels.boxes == (
        BoundingBox(label="a", x=2, y=-3, width=0, height=2),
        BoundingBox(label="", x=5000, y=1, width=0, height=1),
    )


@pytest.mark.parametrize("odd", ["12", None, float("nan"), float("inf"), True, [1]])
def test_a_coordinate_must_be_a_number(odd: object) -> None:
    """A box that cannot be read is never dropped in silence: a write would then delete it."""
    box = {"label": "a", "x": odd, "y": 1, "width": 1, "height": 1}
    with pytest.raises(StudioConfused, match="box x"):
        read_sample({"id": 1, "boundingBoxes": [box]})


def test_labels_of_all_forms() -> None:
    """Label, ranges with maps, label map, flag and metadata come over; an empty label is none."""
    row: Json = {
        "id": 1,
        "label": "cat",
        "isDisabled": True,
        "metadata": {"a": "b", "n": 5, "gone": None},
        "labelMap": {"type": "key-values", "labels": {"k": "v"}},
        "structuredLabels": [{"startIndex": 0, "endIndex": 9.0, "label": "x", "labelMap": {"k": "v"}}],
    }
    labels = read_sample(row).labels
    assert (labels.label, labels.disabled) == (ClassLabel(label="cat"), True)
    assert labels.metadata == {"a": "b", "n": "5"}
    assert labels.label_map == {"k": "v"}
    assert labels.ranges == (TimeRange(start_index=0, end_index=9, label="x", label_map={"k": "v"}),)
    assert read_sample({"id": 1, "label": ""}).labels.label is None


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"chartType": "image"}, "image"),
        ({"chartType": "video"}, "video"),
        ({"chartType": "table"}, "table"),
        ({"chartType": "chart", "frequency": 16000}, "audio"),
        ({"chartType": "chart", "frequency": 62.5}, "audio"),
        ({"chartType": "chart"}, "other"),
        ({"chartType": "hologram"}, "other"),
        ({"imageDimensions": {"width": 3, "height": 4}}, "image"),
        ({"datastreams": [{"chartType": "image"}]}, "image"),
    ],
)
def test_the_kind_comes_from_the_chart(row: Json, kind: str) -> None:
    """Time series are audio where they have a frequency; new charts are other."""
    assert read_sample({"id": 1, **row}).facts.kind == kind


def test_the_first_datastream_fills_gaps() -> None:
    """Size, frequency and length come from the first datastream where the sample has none."""
    stream = {"imageDimensions": {"width": 640, "height": 480}, "frequencyHz": 8000, "valuesCount": 9}
    facts = read_sample({"id": 1, "datastreams": [stream, {}]}).facts
    assert (facts.width, facts.height, facts.frequency_hz, facts.values_count) == (640, 480, 8000, 9)


def test_processing_and_times_are_told() -> None:
    """A final processing error has its text or a default; times are UTC."""
    sample = read_sample(
        {"id": 1, "isProcessing": True, "processingError": True, "lastModified": "2026-01-02T03:04:05.000Z"}
    )
    assert (sample.is_processing, sample.processing_error) == (True, "processing failed")
    assert sample.last_modified == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert sample.base(datetime(2026, 1, 2, tzinfo=UTC)).labels == sample.labels


@pytest.mark.parametrize(
    ("row", "method", "unlabeled"),
    [
        ({}, "single_label", True),
        ({"label": "cat"}, "single_label", False),
        ({"structuredLabels": [{"startIndex": 0, "endIndex": 1, "label": "a"}]}, "single_label", False),
        ({"label": "cat"}, "object_detection", True),
        ({"boundingBoxes": [{"x": 0, "y": 0, "width": 1, "height": 1}]}, "object_detection", False),
        ({"label": "cat"}, "label_map", True),
        ({"labelMap": {"labels": {"k": "v"}}}, "label_map", False),
        ({"label": "cat"}, "unknown", False),
        ({"label": "cat", "projectLabelingMethod": "object_detection"}, None, True),
    ],
)
def test_what_counts_as_unlabeled(row: Json, method: LabelingMethod | None, unlabeled: bool) -> None:
    """The project's labeling method says which labels count, the sample's where none is given."""
    assert is_unlabeled(read_sample({"id": 1, **row}), method) is unlabeled


def test_one_odd_sample_does_not_spoil_a_page(caplog: pytest.LogCaptureFixture) -> None:
    """The rest of the page is read, the odd one is named with its reason."""
    samples, unreadable = read_samples([{"id": 1}, {"id": 2, "boundingBoxes": 5}, {"id": 3}])
    assert [sample.id for sample in samples] == [1, 3]
    assert list(unreadable) == [2]
    assert "Sample 2" in caplog.text
