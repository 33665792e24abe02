"""Loading AST from a folder or the hub; every way it fails, with what to change."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from labelbus_labeling.devices import Device, Precision, device_of, dtype_of
from labelbus_labeling.hub import check_whole, fetches, watch_downloads

from labelbus_audio.audioset import lowered
from labelbus_audio.errors import EngineUnavailable
from labelbus_audio.features import RATE, FeatureShape, mel_filters
from labelbus_audio.settings import DEFAULT_MODEL

if TYPE_CHECKING:
    from labelbus_audio.engine import AstEngine

_NEEDED: Final = ("torch", "transformers", "soxr")


def is_installed() -> bool:
    """Tell whether a model can run here, without importing anything heavy."""
    return all(find_spec(name) is not None for name in _NEEDED)


def download_notice(model: str) -> str | None:
    """Say what loading a model will fetch; None where nothing is fetched."""
    if not fetches(model):
        return None
    size = ", about 350 MB," if model == DEFAULT_MODEL else ""
    return (
        f"Fetching {model}{size} from the Hugging Face hub. Without a GPU expect about 1.5 s a window on one "
        "CPU core. An endpoint by HF_INFERENCE_ENDPOINT needs no model here."
    )


def load_engine(model: str, *, device: Device = "auto", dtype: Precision = "auto") -> "AstEngine":
    """Load an AST by folder or hub id. Raises `SettingsError`."""
    try:
        import torch
        from transformers import ASTForAudioClassification, AutoConfig

        from labelbus_audio.engine import AstEngine
    except ImportError as error:
        raise EngineUnavailable(
            f"Labeling audio locally needs torch and transformers ({error}). Install labelbus-audio[torch], "
            "or set HF_INFERENCE_ENDPOINT to an endpoint elsewhere."
        ) from error
    folder = Path(model).expanduser()
    place = str(folder) if folder.exists() else model
    where = device_of(device, "LABELBUS_AUDIO_DEVICE")
    watch_downloads(place)
    try:
        config = AutoConfig.from_pretrained(place)
        _check(model, config.model_type, config.id2label)
        loaded = ASTForAudioClassification.from_pretrained(
            place, dtype=torch.float32, output_loading_info=True
        )
        weights, info = cast("tuple[ASTForAudioClassification, dict[str, list[str]]]", loaded)
        check_whole(info)
        shape = _shape(place)
    except EngineUnavailable:
        raise
    except Exception as error:  # the libraries behind raise errors of their own for damaged files
        raise _unavailable(model, error) from error
    return AstEngine(weights, shape, device=where, dtype=dtype_of(dtype, where))


def _check(model: str, kind: str, names: dict[int, str]) -> None:
    if kind != "audio-spectrogram-transformer":
        raise EngineUnavailable(
            f"The model {model} is of kind '{kind}', not an audio spectrogram transformer. Choose one, such "
            f"as {DEFAULT_MODEL}."
        )
    if not any(name.lower() in lowered() for name in names.values()):
        raise EngineUnavailable(
            f"The model {model} knows no label of AudioSet. Choose one trained on AudioSet, such as "
            f"{DEFAULT_MODEL}."
        )


def _shape(place: str) -> FeatureShape:
    """Read the extractor's numbers without making one: that warns of filters that hold nothing."""
    from transformers import ASTFeatureExtractor

    given, _ = ASTFeatureExtractor.get_feature_extractor_dict(place)
    rate = given.get("sampling_rate", RATE)
    if rate != RATE:
        raise ValueError(f"it hears sound at {rate} Hz, and only {RATE} Hz are supported.")
    stock = FeatureShape()
    normalizes = given.get("do_normalize", True)
    mels = given.get("num_mel_bins", stock.mels)
    return FeatureShape(
        frames=given.get("max_length", stock.frames),
        mels=mels,
        mean=given.get("mean", stock.mean) if normalizes else 0.0,
        std=given.get("std", stock.std) if normalizes else 0.5,
        filters=mel_filters(mels),
    )


def _unavailable(model: str, error: Exception) -> EngineUnavailable:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return EngineUnavailable(
        f"The model {model} cannot be loaded: {first.removesuffix('.')}. Check the name and the connection "
        "to huggingface.co, set LABELBUS_AUDIO_MODEL to a folder that save_pretrained wrote, or set "
        "HF_INFERENCE_ENDPOINT to an endpoint elsewhere."
    )
