"""The Hugging Face hub, from which engines fetch their models, and whether a model came whole."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from labelbus_runtime.logging import take_over

_WEIGHTS: Final = ("model.safetensors", "pytorch_model.bin")


def fetches(model: str) -> bool:
    """Tell whether loading a model by this name fetches it: a hub id that is in no cache and no folder."""
    is_path = model.startswith((".", "/", "~")) or model.count("/") != 1
    return not is_path and not Path(model).exists() and not _is_cached(model)


def watch_downloads(place: str) -> None:
    """Log what the hub says while a model is loaded; a folder is read in a moment, without bars.

    Of transformers only errors: what it warns of at length, `check_whole` refuses.
    """
    from transformers.utils import logging

    take_over("huggingface_hub")
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    if Path(place).exists():
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def check_whole(info: Mapping[str, Collection[object]]) -> None:
    """Raise `ValueError` where transformers found no weights for a part, which it then fills by chance.

    `info` is what `from_pretrained` gives with `output_loading_info`.
    """
    lacking = sorted(map(str, (*info["missing_keys"], *info["mismatched_keys"])))
    if lacking:
        more = f" and {len(lacking) - 2} more" if len(lacking) > 2 else ""
        raise ValueError(f"its weights lack {', '.join(lacking[:2])}{more}.")


def _is_cached(model: str) -> bool:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return False
    try:
        return any(isinstance(try_to_load_from_cache(model, name), str) for name in _WEIGHTS)
    except ValueError:  # no valid repository id
        return False
