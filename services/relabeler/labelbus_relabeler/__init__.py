"""The relabeler service: four labelers that ask vision language models."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from labelbus_labeling.labeler import FormSecret, Labeler, Registration

_TIMEOUT_S: Final = 900.0
"""For a sample with many boxes on a busy key; each call has its own timeout."""


def relabel() -> "Registration":
    """Register `relabel`. The SDK is imported when a labeler is opened."""
    from labelbus_labeling.labeler import Registration

    from labelbus_relabeler.parameters import RelabelParameters

    def make(environ: Mapping[str, str]) -> "Labeler":
        from labelbus_relabeler.labeler import make_labeler
        from labelbus_relabeler.relabeling import relabeled
        from labelbus_relabeler.settings import DEFAULT_MODEL

        return make_labeler(environ, relabeled, DEFAULT_MODEL)

    return Registration(
        name="relabel",
        title="Bounding box re-labeling with GPT",
        operates_on=frozenset({"images_object_detection"}),
        parameters=RelabelParameters,
        make=make,
        timeout_s=_TIMEOUT_S,
        secrets=(_openai_key(),),
    )


def images() -> "Registration":
    """Register `images`."""
    from labelbus_labeling.labeler import Registration

    from labelbus_relabeler.choosing import frames_per_second, unlabeled
    from labelbus_relabeler.parameters import ImagesParameters

    def make(environ: Mapping[str, str]) -> "Labeler":
        from labelbus_relabeler.labeler import make_labeler
        from labelbus_relabeler.naming import labeled
        from labelbus_relabeler.settings import DEFAULT_MODEL

        return make_labeler(environ, labeled, DEFAULT_MODEL)

    return Registration(
        name="images",
        title="Image labeling with GPT",
        operates_on=frozenset({"images_single_label"}),
        parameters=ImagesParameters,
        make=make,
        timeout_s=_TIMEOUT_S,
        secrets=(_openai_key(),),
        splits_videos=frames_per_second,
        chooses=unlabeled,
    )


def validate() -> "Registration":
    """Register `validate`."""
    from labelbus_labeling.labeler import Registration

    from labelbus_relabeler.choosing import with_boxes
    from labelbus_relabeler.parameters import ValidateParameters

    def make(environ: Mapping[str, str]) -> "Labeler":
        from labelbus_relabeler.dataset import DatasetLabels
        from labelbus_relabeler.labeler import make_labeler
        from labelbus_relabeler.settings import DEFAULT_MODEL
        from labelbus_relabeler.validation import validated

        return make_labeler(environ, partial(validated, dataset=DatasetLabels()), DEFAULT_MODEL)

    return Registration(
        name="validate",
        title="Bounding box validation with GPT",
        operates_on=frozenset({"images_object_detection"}),
        parameters=ValidateParameters,
        make=make,
        timeout_s=_TIMEOUT_S,
        secrets=(_openai_key(),),
        chooses=with_boxes,
    )


def detect_llm() -> "Registration":
    """Register `detect-llm`."""
    from labelbus_labeling.labeler import Registration

    from labelbus_relabeler.parameters import DetectParameters

    def make(environ: Mapping[str, str]) -> "Labeler":
        from labelbus_relabeler.detection import detected
        from labelbus_relabeler.labeler import make_labeler
        from labelbus_relabeler.settings import DETECTION_MODEL

        return make_labeler(environ, detected, DETECTION_MODEL)

    return Registration(
        name="detect-llm",
        title="Bounding box labeling with GPT",
        operates_on=frozenset({"images_object_detection"}),
        parameters=DetectParameters,
        make=make,
        timeout_s=_TIMEOUT_S,
        secrets=(_openai_key(),),
    )


def _openai_key() -> "FormSecret":
    from labelbus_labeling.labeler import FormSecret

    return FormSecret("OPENAI_API_KEY", "OpenAI API Key", "A key of OpenAI's API.")
