"""Loading a model: from a folder, the hub or this package; every way it fails, with what to change."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from labelbus_labeling.devices import Device, Precision, device_of, dtype_of
from labelbus_labeling.hub import check_whole, watch_downloads

from labelbus_detector.errors import ModelUnavailable
from labelbus_detector.models import TOY_FOLDER, TOY_MODEL

if TYPE_CHECKING:
    from labelbus_detector.engine import OwlEngine

_KINDS: Final = ("owlvit", "owlv2")
_NEEDED: Final = ("torch", "transformers")


def is_installed() -> bool:
    """Tell whether a model can run here, without importing anything heavy."""
    return all(find_spec(name) is not None for name in _NEEDED)


def load_engine(
    model: str, *, device: Device = "auto", dtype: Precision = "auto", pad_value: float = 0.0
) -> "OwlEngine":
    """Load an OWL-ViT or OWLv2 model by folder, hub id or the name `toy`. Raises `SettingsError`."""
    try:
        import torch
        from transformers import AutoModelForZeroShotObjectDetection, AutoTokenizer

        from labelbus_detector.engine import OwlEngine
    except ImportError as error:
        raise ModelUnavailable(
            f"A local detector needs torch and transformers ({error}). Install labelbus-detector[torch], or "
            "set BEAM_ENDPOINT and BEAM_ACCESS_KEY to use a detector elsewhere."
        ) from error
    place = _place(model)
    watch_downloads(place)
    _check_kind(model, place)
    where = device_of(device, "LABELBUS_DETECTOR_DEVICE")
    try:
        weights, info = AutoModelForZeroShotObjectDetection.from_pretrained(
            place, dtype=torch.float32, output_loading_info=True
        )
        check_whole(info)
        tokenizer = AutoTokenizer.from_pretrained(place)
        _check_words(len(tokenizer), weights.config.text_config.vocab_size)
    except Exception as error:  # the libraries behind raise errors of their own for damaged files
        raise _unavailable(model, error) from error
    return OwlEngine(weights, tokenizer, device=where, dtype=dtype_of(dtype, where), pad_value=pad_value)


def gpu_name() -> str | None:
    """Name the accelerator that `auto` would choose; None where there is none, or no torch."""
    try:
        import torch
    except ImportError:
        return None
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return "Apple GPU" if torch.backends.mps.is_available() else None


def _place(model: str) -> str:
    if model == TOY_MODEL:
        return str(TOY_FOLDER)
    folder = Path(model).expanduser()
    if folder.exists() and not (folder / "config.json").is_file():
        raise ModelUnavailable(
            f"The model folder {model} holds no config.json. Name a folder that save_pretrained wrote."
        )
    if folder.exists():
        return str(folder)
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise ModelUnavailable(
            f"The model folder {model} does not exist. Correct LABELBUS_DETECTOR_MODEL: a folder, a hub id "
            f"such as google/owlvit-base-patch32, or '{TOY_MODEL}'."
        )
    return model


def _check_kind(model: str, place: str) -> None:
    from transformers import AutoConfig

    try:
        kind = AutoConfig.from_pretrained(place).model_type
    except Exception as error:  # the libraries behind raise errors of their own for damaged files
        raise _unavailable(model, error) from error
    if kind not in _KINDS:
        raise ModelUnavailable(
            f"The model {model} is of kind '{kind}', not {' or '.join(_KINDS)}. Choose an OWL-ViT or OWLv2 "
            "model, such as google/owlv2-base-patch16-ensemble."
        )


def _check_words(known: int, expected: int) -> None:
    """Without its vocabulary a tokenizer is made all the same, and takes every phrase for the same."""
    if 2 * known < expected:
        raise ValueError(f"its tokenizer knows {known} of {expected} tokens.")


def _unavailable(model: str, error: Exception) -> ModelUnavailable:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    remedy = "Check the name and the connection to huggingface.co"
    if Path(model).expanduser().exists():
        remedy = "Name a folder that save_pretrained wrote, whole"
    return ModelUnavailable(
        f"The model {model} cannot be loaded: {first.removesuffix('.')}. {remedy}, or set "
        f"LABELBUS_DETECTOR_MODEL to another folder or to '{TOY_MODEL}', or BEAM_ENDPOINT to a detector "
        "elsewhere."
    )
