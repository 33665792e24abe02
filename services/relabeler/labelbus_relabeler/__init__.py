"""The relabeler service: four labelers that ask vision language models."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from labelbus_contracts.jobs import DataFilter
from labelbus_labeling.labeler import FormSecret, Labeler, LabelerParameters, OperatesOn, Registration

from labelbus_relabeler.choosing import frames_per_second, unlabeled, with_boxes
from labelbus_relabeler.parameters import (
    DetectParameters,
    ImagesParameters,
    RelabelParameters,
    ValidateParameters,
)

_TIMEOUT_S: Final = 900.0
"""For a sample with many boxes on a busy key; each call has its own timeout."""


def relabel() -> Registration:
    """Register `relabel`."""
    return _registered("relabel", "Bounding box re-labeling with GPT", RelabelParameters)


def images() -> Registration:
    """Register `images`."""
    return _registered(
        "images",
        "Image labeling with GPT",
        ImagesParameters,
        operates_on="images_single_label",
        splits_videos=frames_per_second,
        chooses=unlabeled,
    )


def validate() -> Registration:
    """Register `validate`."""
    return _registered("validate", "Bounding box validation with GPT", ValidateParameters, chooses=with_boxes)


def detect_llm() -> Registration:
    """Register `detect-llm`."""
    return _registered("detect-llm", "Bounding box labeling with GPT", DetectParameters)


def _registered(
    name: str,
    title: str,
    parameters: type[LabelerParameters],
    *,
    operates_on: OperatesOn = "images_object_detection",
    splits_videos: Callable[[LabelerParameters], int | None] | None = None,
    chooses: Callable[[LabelerParameters], DataFilter] | None = None,
) -> Registration:
    return Registration(
        name=name,
        title=title,
        operates_on=frozenset({operates_on}),
        parameters=parameters,
        make=partial(_make, name),
        timeout_s=_TIMEOUT_S,
        secrets=(FormSecret("OPENAI_API_KEY", "OpenAI API Key", "A key of OpenAI's API."),),
        splits_videos=splits_videos,
        chooses=chooses,
    )


def _make(name: str, environ: Mapping[str, str]) -> Labeler:
    from labelbus_relabeler.labeler import make_labeler

    return make_labeler(name, environ)
