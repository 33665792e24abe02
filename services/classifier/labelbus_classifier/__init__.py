"""The classifier service: the labeler `pretrained` has the impulse of another project label images."""

from collections.abc import Mapping

from labelbus_labeling.labeler import Labeler, Registration

from labelbus_classifier.parameters import PretrainedParameters


def registration() -> Registration:
    """Register `pretrained`. Studio does the computing, so many samples are worked on at once."""
    return Registration(
        name="pretrained",
        title="Image labeling with pretrained models",
        operates_on=frozenset({"images_object_detection", "images_single_label"}),
        parameters=PretrainedParameters,
        make=_make,
        capacity=16,
        max_batch=1,
        max_wait_s=0.0,
        timeout_s=120.0,
    )


def _make(environ: Mapping[str, str]) -> Labeler:
    from labelbus_classifier.labeler import PretrainedLabeler

    return PretrainedLabeler()
