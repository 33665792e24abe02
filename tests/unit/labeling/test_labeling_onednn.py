"""Linear layers by oneDNN compute what torch's do."""

import pytest
import torch
from labelbus_labeling.onednn import PackedLinear, is_there, pack
from torch import nn

pytestmark = pytest.mark.skipif(not is_there(), reason="this torch has no packed layers here")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 48), (3, 5, 48), (2, 1, 7, 48), (0, 48)])
@torch.inference_mode()
def test_results_are_those_of_torch(shape: tuple[int, ...], bias: bool) -> None:
    """Whatever the shape, to rounding, with GELU behind and without."""
    torch.manual_seed(1)
    layer, values = nn.Linear(48, 96, bias=bias), torch.randn(shape)
    torch.testing.assert_close(PackedLinear(layer)(values), layer(values), atol=1e-5, rtol=1e-5)
    active = nn.functional.gelu(layer(values))
    torch.testing.assert_close(PackedLinear(layer, gelu=True)(values), active, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_values_may_lie_anyhow() -> None:
    """A slice and a transposed tensor are taken as they are."""
    torch.manual_seed(1)
    layer, values = nn.Linear(16, 8), torch.randn(4, 16, 20)
    for lying in (values.transpose(1, 2), values.transpose(1, 2)[:, :2]):
        torch.testing.assert_close(PackedLinear(layer)(lying), layer(lying), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_model_is_packed_in_place() -> None:
    """However deep its layers lie; those in half precision stay as they are."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(8, 8), nn.Sequential(nn.ReLU(), nn.Linear(8, 4)))
    half = nn.Linear(8, 8).to(torch.bfloat16)
    values = torch.randn(3, 8)
    wanted = model(values)
    assert pack(model) == 2
    assert pack(nn.Sequential(half)) == 0
    torch.testing.assert_close(model(values), wanted, atol=1e-5, rtol=1e-5)
