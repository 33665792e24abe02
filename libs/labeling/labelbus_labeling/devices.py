"""Where a model of this process computes, and how exactly. torch is imported when it is asked."""

from typing import TYPE_CHECKING, Literal

from labelbus_runtime.errors import SettingsError

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cuda", "mps", "cpu"]
Precision = Literal["auto", "float32", "float16", "bfloat16"]


def device_of(wanted: Device, setting: str) -> str:
    """Return torch's name of a device. Raises `SettingsError` naming the setting where it is absent."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, is_there in there.items() if is_there)
    if not there[wanted]:
        raise SettingsError(f"This machine has no device '{wanted}' that torch can use. Set {setting}=auto.")
    return wanted


def dtype_of(wanted: Precision, device: str) -> "torch.dtype":
    """Return torch's type; `auto` computes in half precision on CUDA."""
    import torch

    if wanted == "auto":
        return torch.float16 if device == "cuda" else torch.float32
    return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[wanted]
