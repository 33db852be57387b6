"""Each defence against an independent computation, and what it may depend on."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import median_filter
from torch import Tensor, nn

from aach_lightning.networks.defences import JPEG, BitDepth, MedianFilter, RandomResize

ALL = [
    pytest.param(JPEG(30), id="jpeg"),
    pytest.param(BitDepth(3), id="bits"),
    pytest.param(MedianFilter(3), id="median"),
    pytest.param(RandomResize(0.6, 0), id="resize"),
]


def levels(count: int, height: int = 19, width: int = 23, seed: int = 0) -> Tensor:
    """8-bit images with smooth parts and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = 128 + 100 * np.sin(y / 5 + x / 7 + rng.uniform(0, 6, (count, 3, 1, 1)))
    return torch.from_numpy((waves + rng.normal(0, 10, waves.shape)).clip(0, 255).astype(np.uint8))


def images(count: int, seed: int = 0) -> Tensor:
    return levels(count, seed=seed).float() / 255


@pytest.mark.parametrize("quality", [1, 20, 75, 95])
def test_jpeg_is_a_round_trip_through_a_file(quality: int) -> None:
    expected = []
    for picture in levels(3):
        file = io.BytesIO()
        Image.fromarray(picture.permute(1, 2, 0).numpy(), "RGB").save(file, "JPEG", quality=quality, subsampling=2)
        file.seek(0)
        expected.append(torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1))
    found = JPEG(quality)(images(3))
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.stack(expected).float() / 255)
    assert not torch.equal(found, images(3))


def test_jpeg_reads_other_images_as_a_png_would_hold_them() -> None:
    off = (images(2) + 0.4 / 255).clamp(0, 1)
    assert torch.equal(JPEG(50)(off), JPEG(50)(images(2)))


@pytest.mark.parametrize("bits", range(1, 9))
def test_bit_depth_takes_the_nearest_level(bits: int) -> None:
    grid = np.linspace(0, 1, 2**bits)
    found = BitDepth(bits)(images(2))
    for value, before in zip(found.flatten().tolist(), images(2).flatten().tolist(), strict=True):
        nearest = grid[np.abs(grid - before).argmin()]
        assert value == pytest.approx(nearest, abs=1e-6)
    if bits == 8:
        torch.testing.assert_close(found, images(2), rtol=0, atol=1e-7)


@pytest.mark.parametrize("window", [3, 5, 7, 19])
def test_median_is_that_of_scipy(window: int) -> None:
    found = MedianFilter(window)(images(2))
    expected = median_filter(images(2).numpy(), size=(1, 1, window, window), mode="mirror")
    assert np.array_equal(found.numpy(), expected)


def test_resize_shrinks_within_its_bounds_and_keeps_the_image_on_the_canvas() -> None:
    side, smallest = 40, 0.6
    # all but white, and all different
    white = torch.ones(60, 3, side, side) - torch.arange(60).view(60, 1, 1, 1) / 255 * (torch.rand(side, side) < 0.05)
    widths, corners = [], []
    for picture in RandomResize(smallest, 0)(white):
        rows, columns = (picture.amax(dim=(0, other)) > 0.5 for other in (2, 1))
        assert int(rows.sum()) == pytest.approx(int(columns.sum()), abs=1)
        widths.append(int(columns.sum()))
        corners.append((int(rows.nonzero()[0]), int(columns.nonzero()[0])))
    assert smallest * side - 2 <= min(widths) < 0.7 * side
    assert 0.9 * side < max(widths) <= side
    assert len(set(corners)) > 30


def test_resize_at_scale_one_changes_nothing() -> None:
    assert torch.equal(RandomResize(1.0, 0)(images(4)), images(4))


def test_resize_draws_from_seed_and_content() -> None:
    base = images(1)
    other = base.clone()
    other[0, 0, 0, 0] += 1 / 255
    for changed in (RandomResize(0.6, 1)(base), RandomResize(0.6, 0)(other)):
        assert float((changed - RandomResize(0.6, 0)(base)).abs().mean()) > 0.02
    within = base + 0.3 / 255 * torch.rand(base.shape)  # rounds to the same 8 bits: moved the same way
    torch.testing.assert_close(RandomResize(0.6, 0)(within), RandomResize(0.6, 0)(base), rtol=0, atol=2e-3)


@pytest.mark.parametrize("defence", ALL)
def test_the_answer_depends_on_the_image_alone(defence: nn.Module) -> None:
    batch = images(7)
    whole = defence(batch)
    torch.manual_seed(5)
    assert torch.equal(defence(batch), whole)
    assert torch.equal(torch.cat([defence(part) for part in torch.split(batch, 3)]), whole)
    assert torch.equal(defence(batch.flip(0)), whole.flip(0))
    with torch.inference_mode():
        assert torch.equal(defence(batch), whole)


@pytest.mark.parametrize("defence", ALL)
def test_images_stay_images(defence: nn.Module) -> None:
    for batch in (images(5), torch.zeros(1, 3, 16, 16), torch.ones(2, 3, 17, 16), torch.empty(0, 3, 16, 16)):
        found = defence(batch)
        assert found.shape == batch.shape
        assert found.dtype == torch.float32
        if found.numel():
            assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert not torch.equal(defence(images(5)), images(5))
    assert not list(defence.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: only there operations may be undeterministic")
@pytest.mark.parametrize("defence", ALL)
def test_on_a_gpu_it_is_deterministic_and_the_same(defence: nn.Module) -> None:
    torch.use_deterministic_algorithms(True)
    weights, found = images(3, seed=1), []
    for device in ("cpu", "cuda", "cuda"):
        batch = images(3).to(device).requires_grad_()
        defended = defence(batch)
        (gradient,) = torch.autograd.grad((defended * weights.to(device)).sum(), batch)
        found.append((defended.detach().cpu(), gradient.cpu()))
    for expected, other in zip(found[0], found[1], strict=True):
        torch.testing.assert_close(other, expected, rtol=1e-4, atol=2e-5)
    assert all(map(torch.equal, found[1], found[2]))
