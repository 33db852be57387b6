import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aach_lightning.zoo import response_norm
from aach_lightning.zoo.response_norm import CrossChannelNorm

LAYOUTS = [torch.contiguous_format, torch.channels_last]
NORM = (5, 2.0, 1e-4, 0.75)


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return 100 * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.fixture(params=[1, 2**20], ids=["image by image", "all at once"])
def _parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response_norm, "_PART", request.param)


@pytest.mark.usefixtures("_parts")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_torchs_with_alpha_times_size_and_so_is_its_gradient(layout: torch.memory_format) -> None:
    maps, direction = draw(3, 9, 4, 5, dtype=torch.float64), draw(3, 9, 4, 5, dtype=torch.float64).flip(0)
    maps = maps.contiguous(memory_format=layout)
    results = []
    for norm in (CrossChannelNorm(*NORM), nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)):
        leaf = maps.clone().requires_grad_()
        out = norm(leaf)
        results.append((out.detach(), torch.autograd.grad(out, leaf, direction)[0]))
    torch.testing.assert_close(results[0], results[1])
    assert all(tensor.is_contiguous(memory_format=layout) for tensor in results[0])
    torch.testing.assert_close(CrossChannelNorm(*NORM)(maps.float()), results[1][0].float())


def test_it_is_matconvnets_formula_written_out() -> None:
    maps = draw(2, 6, 2, 3)
    expected = np.empty(maps.shape)
    for n, c, i, j in np.ndindex(*maps.shape):
        total = sum(float(maps[n, d, i, j]) ** 2 for d in range(max(0, c - 1), min(6, c + 2)))
        expected[n, c, i, j] = float(maps[n, c, i, j]) / (1.5 + 0.01 * total) ** 0.6
    np.testing.assert_allclose(CrossChannelNorm(3, 1.5, 0.01, 0.6)(maps).numpy(), expected, rtol=1e-5)


@pytest.mark.usefixtures("_parts")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [3, 5])
def test_its_gradient_is_that_of_differences(layout: torch.memory_format, size: int) -> None:
    maps = (draw(2, 7, 2, 3, dtype=torch.float64) / 50).contiguous(memory_format=layout).requires_grad_()
    assert torch.autograd.gradcheck(CrossChannelNorm(size, 2.0, 0.1, 0.75), (maps,))


def test_bfloat16_is_rounded_once() -> None:
    maps, direction = draw(2, 8, 3, 3).bfloat16(), draw(2, 8, 3, 3).bfloat16()
    results = []
    for leaf in (maps.clone().requires_grad_(), maps.float().requires_grad_()):
        out = CrossChannelNorm(*NORM)(leaf)
        results.append((out.detach(), torch.autograd.grad(out, leaf, direction.to(out.dtype))[0]))
    assert results[0][0].dtype == results[0][1].dtype == torch.bfloat16
    assert torch.equal(results[0][0], results[1][0].bfloat16())
    torch.testing.assert_close(results[0][1].float(), results[1][1], rtol=0.01, atol=0.1)


def test_no_images_are_no_images() -> None:
    maps = torch.empty(0, 4, 3, 3).requires_grad_()
    out = CrossChannelNorm(*NORM)(maps)
    assert out.shape == maps.shape
    assert torch.autograd.grad(out.sum(), maps)[0].shape == maps.shape


@pytest.mark.parametrize("size", [-1, 1, 4])
def test_windows_without_a_middle_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"odd and at least 3, got {size}"):
        CrossChannelNorm(size, 2.0, 1e-4, 0.75)
