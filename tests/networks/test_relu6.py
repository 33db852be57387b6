import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.networks.relu6 import relu6

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def draw(dtype: torch.dtype = torch.float32) -> Tensor:
    """Values on both sides of 0 and 6, and exactly there."""
    maps = 10 * torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=dtype)
    maps[0, 0, 0, :4] = torch.tensor([0.0, 6.0, -0.0, 5.999999])
    return maps


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 1), (1, 2), (2, 0)])
def test_it_is_torchs_and_a_pad_with_their_gradient(layout: torch.memory_format, before: int, after: int) -> None:
    pads = (before, after, before, after)
    direction = F.pad(draw(), pads, value=3.0).flip(0).contiguous(memory_format=layout)
    leaf = draw().contiguous(memory_format=layout).requires_grad_()
    expected = F.pad(F.relu6(leaf), pads)
    found = relu6(leaf * 1, before, after)  # a leaf itself cannot be overwritten
    assert torch.equal(found, expected)
    assert found.is_contiguous(memory_format=layout)
    gradients = [torch.autograd.grad(out, leaf, direction)[0] for out in (found, expected)]
    assert torch.equal(*gradients)
    assert gradients[0].is_contiguous(memory_format=layout)


def test_without_padding_it_overwrites_its_input() -> None:
    maps = draw()
    assert relu6(maps).data_ptr() == maps.data_ptr()
    assert float(maps.min()) == 0
    assert float(maps.max()) == 6


def test_the_input_is_not_kept_for_the_gradient() -> None:
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    maps = draw().requires_grad_() * 1
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = relu6(maps)
    assert [tensor.data_ptr() for tensor in kept] == [out.data_ptr()]
