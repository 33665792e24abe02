"""The relabeler service: labelers that ask vision language models."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labelbus_labeling.labeler import FormSecret, Labeler, Registration

_TIMEOUT_S = 900.0
"""For a sample with many boxes on a busy key; each call has its own timeout."""


def relabel() -> "Registration":
    """Register `relabel`. The SDK is imported when the labeler is opened."""
    from labelbus_labeling.labeler import Registration

    from labelbus_relabeler.parameters import RelabelParameters

    def make(environ: Mapping[str, str]) -> "Labeler":
        from labelbus_relabeler.labeler import make_labeler
        from labelbus_relabeler.relabel import relabeled
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


def _openai_key() -> "FormSecret":
    from labelbus_labeling.labeler import FormSecret

    return FormSecret("OPENAI_API_KEY", "OpenAI API Key", "A key of OpenAI's API.")
