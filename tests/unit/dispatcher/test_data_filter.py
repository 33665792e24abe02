"""What of a page of samples a data filter means."""

import pytest
from labelbus_contracts.ids import SampleId
from labelbus_contracts.jobs import DataFilter
from labelbus_contracts.labels import BoundingBox, LabelSet, SampleFacts, SampleKind
from labelbus_dispatcher.studio import fits
from labelbus_studio.samples import Sample


def sample(kind: SampleKind, *, boxes: int) -> Sample:
    """Return a sample of a project with bounding boxes."""
    facts = SampleFacts(kind=kind, labeling_method="object_detection")
    box = BoundingBox(label="cat", x=0, y=0, width=1, height=1)
    return Sample(id=SampleId(1), facts=facts, labels=LabelSet(boxes=(box,) * boxes))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (DataFilter(), [True, True, True]),
        (DataFilter(which="unlabeled"), [False, True, True]),
        (DataFilter(labeled=True), [True, False, False]),
        (DataFilter(kinds=("image",)), [True, True, False]),
        (DataFilter(kinds=("image", "video"), which="unlabeled"), [False, True, True]),
        (DataFilter(which="unlabeled", labeled=True), [False, False, False]),
    ],
)
def test_fits(data: DataFilter, expected: list[bool]) -> None:
    """A labeled picture, an unlabeled one, and a video: all parts of the filter must hold."""
    samples = [sample("image", boxes=1), sample("image", boxes=0), sample("video", boxes=0)]
    assert [fits(one, data) for one in samples] == expected
