"""Messages and workers that the runtime's tests share."""

from collections.abc import Callable

import pytest
from labelbus_contracts.ids import JobId, MessageId, ProjectId, SampleId, SecretName
from labelbus_contracts.topics import label_topic
from labelbus_contracts.v1.commands import LabelSample
from labelbus_runtime.worker import Handler, RetryPolicy, Worker

QUICK = RetryPolicy(attempts=3, first_s=0.001, most_s=0.002)


@pytest.fixture
def label_sample() -> Callable[..., LabelSample]:
    """Return a maker of `LabelSample` commands, by sample id."""

    def make(sample_id: int = 1, attempt: int = 1) -> LabelSample:
        return LabelSample(
            id=MessageId(f"label_sample:job:1:{sample_id}:0:{attempt}"),
            job_id=JobId("job"),
            project_id=ProjectId(7),
            sample_id=SampleId(sample_id),
            attempt=attempt,
            secret=SecretName("env:KEY"),
            labeler="test",
        )

    return make


@pytest.fixture
def labeler() -> Callable[..., Worker]:
    """Return a maker of workers on the topic of the labeler `test`."""

    def make(handle: Handler, **options: object) -> Worker:
        given = {"retry": QUICK, "concurrency": 8, **options}
        return Worker("test", label_topic("test"), handle, group="test", **given)  # type: ignore[arg-type]

    return make
