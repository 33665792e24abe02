"""The Hugging Face hub, from which engines fetch their models."""

from pathlib import Path
from typing import Final

_WEIGHTS: Final = ("model.safetensors", "pytorch_model.bin")


def fetches(model: str) -> bool:
    """Tell whether loading a model by this name fetches it: a hub id that is in no cache and no folder."""
    is_path = model.startswith((".", "/", "~")) or model.count("/") != 1
    return not is_path and not Path(model).exists() and not _is_cached(model)


def _is_cached(model: str) -> bool:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return False
    try:
        return any(isinstance(try_to_load_from_cache(model, name), str) for name in _WEIGHTS)
    except ValueError:  # no valid repository id
        return False
