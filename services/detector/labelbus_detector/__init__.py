"""The detector service: the labeler `owl-vit` finds what a text prompt names and draws boxes around it."""

from collections.abc import Mapping

from labelbus_labeling.labeler import Labeler, Registration

from labelbus_detector.parameters import OwlVitParameters


def registration() -> Registration:
    """Register `owl-vit`. The model's libraries are imported when the labeler is made.

    The timeout covers the first answer of a cold GPU elsewhere (10 minutes) and a CPU's queue.
    """
    return Registration(
        name="owl-vit",
        title="Bounding box labeling with OWL-ViT",
        operates_on=frozenset({"images_object_detection"}),
        parameters=OwlVitParameters,
        make=_make,
        capacity=32,
        max_batch=16,
        max_wait_s=0.003,
        timeout_s=660.0,
    )


def _make(environ: Mapping[str, str]) -> Labeler:
    from labelbus_detector.labeler import make_labeler

    return make_labeler(environ)
