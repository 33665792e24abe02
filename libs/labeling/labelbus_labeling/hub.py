"""The Hugging Face hub, from which engines fetch their models."""

from pathlib import Path
from typing import Final

from labelbus_runtime.logging import take_over

_WEIGHTS: Final = ("model.safetensors", "pytorch_model.bin")


def fetches(model: str) -> bool:
    """Tell whether loading a model by this name fetches it: a hub id that is in no cache and no folder."""
    is_path = model.startswith((".", "/", "~")) or model.count("/") != 1
    return not is_path and not Path(model).exists() and not _is_cached(model)


def watch_downloads(place: str) -> None:
    """Log what the hub says while a model is loaded; a folder is read in a moment, without bars."""
    take_over("huggingface_hub")
    if Path(place).exists():
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _is_cached(model: str) -> bool:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return False
    try:
        return any(isinstance(try_to_load_from_cache(model, name), str) for name in _WEIGHTS)
    except ValueError:  # no valid repository id
        return False
