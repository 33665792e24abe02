"""Linear layers by oneDNN on x86 CPUs, in float32.

torch has MKL compute them, which leaves half of an AMD core unused: 97 GFLOP/s of float32 where oneDNN does
220 (one core of an EPYC with AVX-512, layers of AST). Results differ by rounding alone. Only engines import
this module: it needs torch.
"""

import platform
from typing import Final

import torch
from torch import Tensor, nn

_MACHINES: Final = frozenset({"x86_64", "AMD64"})


def is_there() -> bool:
    """Tell whether this torch has oneDNN's packed layers for this machine."""
    if platform.machine() not in _MACHINES or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return hasattr(torch.ops.mkldnn, "_linear_pointwise")  # what torch.compile itself puts in


def pack(model: nn.Module) -> int:
    """Replace the linear layers within a model, in place, and return how many; others than float32 stay.

    The model then answers on this machine's CPU only, and cannot be saved or trained.
    """
    count = 0
    for name, part in list(model.named_children()):
        if type(part) is nn.Linear and _fits(part):
            setattr(model, name, PackedLinear(part))
            count += 1
        else:
            count += pack(part)
    return count


class PackedLinear(nn.Module):
    """A linear layer whose weights lie as oneDNN likes them, with an exact GELU behind it if wanted."""

    def __init__(self, layer: nn.Linear, *, gelu: bool = False) -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), None)
        self._bias = None if layer.bias is None else layer.bias.detach()
        self._after = ("gelu", "none") if gelu else ("none", "")

    def forward(self, values: Tensor) -> Tensor:
        """Return what the layer makes of values (..., in_features)."""
        name, kind = self._after
        made: Tensor = torch.ops.mkldnn._linear_pointwise(values, self._weight, self._bias, name, [], kind)
        return made


def _fits(layer: nn.Linear) -> bool:
    return layer.weight.dtype == torch.float32 and layer.weight.device.type == "cpu"
