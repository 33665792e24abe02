"""Which engine listens: a dedicated endpoint, the model here, or Hugging Face's router."""

import hashlib
from collections.abc import Callable
from typing import Final

import httpx

from labelbus_audio.ears import Ears
from labelbus_audio.errors import EngineUnavailable
from labelbus_audio.loading import is_installed
from labelbus_audio.local import LocalEars
from labelbus_audio.remote import Place, RemoteEars
from labelbus_audio.settings import AudioSettings

_WAYS: Final = (
    "Set HF_INFERENCE_ENDPOINT to the address of an endpoint that classifies audio, install "
    "labelbus-audio[torch] to run the model here, or set HF_API_KEY to use Hugging Face's router."
)


def choose_ears(settings: AudioSettings, *, local_is_installed: Callable[[], bool] = is_installed) -> Ears:
    """Return the engine that is asked for; `auto` is the first that is configured or installed.

    Raises `EngineUnavailable`.
    """
    if settings.engine == "endpoint" or (settings.engine == "auto" and settings.hf_inference_endpoint):
        return _endpoint(settings)
    if settings.engine == "local" or (settings.engine == "auto" and local_is_installed()):
        return LocalEars(settings)
    if settings.engine == "router" or settings.hf_api_key is not None:
        return _router(settings)
    raise EngineUnavailable(f"No engine can listen. {_WAYS}")


def _endpoint(settings: AudioSettings) -> Ears:
    url = settings.hf_inference_endpoint
    if not url:
        raise EngineUnavailable(
            "LABELBUS_AUDIO_ENGINE is endpoint, and no endpoint is named. Set HF_INFERENCE_ENDPOINT to its "
            "full address."
        )
    place = Place(
        name="The endpoint",
        said=f"the endpoint at {_host(url)} (HF_INFERENCE_ENDPOINT)",
        url=url,
        model=_named(url),
        variable="HF_INFERENCE_ENDPOINT",
        key=settings.hf_api_key,
    )
    return _remote(place, settings)


def _router(settings: AudioSettings) -> Ears:
    if settings.hf_api_key is None:
        raise EngineUnavailable("Hugging Face's router wants a key. Set HF_API_KEY.")
    place = Place(
        name="Hugging Face's router",
        said=f"{settings.model} behind Hugging Face's router (HF_API_KEY)",
        url=f"{settings.router.rstrip('/')}/{settings.model}",
        model=settings.model,
        variable="LABELBUS_AUDIO_MODEL",
        key=settings.hf_api_key,
    )
    return _remote(place, settings)


def _remote(place: Place, settings: AudioSettings) -> Ears:
    return RemoteEars(place, concurrency=settings.remote_concurrency, timeout_s=settings.remote_timeout_s)


def _named(url: str) -> str:
    """Name an endpoint for people, and apart from others of its host: kept answers are told apart by it.

    Whatever else the address holds may be secret.
    """
    return f"endpoint:{_host(url)}#{hashlib.sha256(url.encode()).hexdigest()[:8]}"


def _host(url: str) -> str:
    try:
        return httpx.URL(url).host
    except httpx.InvalidURL as error:
        raise EngineUnavailable("HF_INFERENCE_ENDPOINT is no valid address. Correct it.") from error
