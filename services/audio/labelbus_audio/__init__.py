"""The audio service: the labeler `audio` names what is heard, window by window, in words of AudioSet."""

from collections.abc import Mapping

from labelbus_labeling.labeler import FormSecret, Labeler, Registration

from labelbus_audio.parameters import AudioParameters

_KEY_HELP = "An API Key that gives access to Hugging Face. Not needed where the model runs in the block."


def registration() -> Registration:
    """Register `audio`. The engines' libraries are imported when the labeler is made.

    The timeout covers a long clip on a CPU, at seconds per window.
    """
    return Registration(
        name="audio",
        title="Audio labeling with AudioSet",
        operates_on=frozenset({"audio"}),
        parameters=AudioParameters,
        make=_make,
        capacity=16,
        max_batch=1,
        max_wait_s=0.0,
        timeout_s=3600.0,
        secrets=(FormSecret("HF_API_KEY", "Hugging Face API Key", _KEY_HELP),),
    )


def _make(environ: Mapping[str, str]) -> Labeler:
    from labelbus_audio.labeler import make_labeler

    return make_labeler(environ)
