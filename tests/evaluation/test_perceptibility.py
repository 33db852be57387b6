import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from aach_lightning.evaluation.perceptibility import Perceptibility, item_perceptibility, pooled


def perceptibility(clean: torch.Tensor, changed: torch.Tensor) -> Perceptibility:
    return pooled(item_perceptibility(clean, changed))


def draw(count: int, *shape: int, size: float = 0.05) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(1)
    clean = rng.random((count, *shape), dtype=np.float32)
    changed = (clean + rng.uniform(-size, size, clean.shape).astype(np.float32)).clip(0, 1)
    return clean, changed


def naive_ssim(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Wang et al., IEEE TIP 2004: 11 x 11 Gaussian window of sigma 1.5, where it lies inside the image."""
    values = []
    for x, y in zip(first, second, strict=True):

        def blurred(picture: NDArray[np.float64]) -> NDArray[np.float64]:
            return gaussian_filter(picture, 1.5, radius=5)[5:-5, 5:-5]

        mx, my = blurred(x), blurred(y)
        vx, vy, vxy = blurred(x * x) - mx**2, blurred(y * y) - my**2, blurred(x * y) - mx * my
        c1, c2 = 0.01**2, 0.03**2
        values.append((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return float(np.mean(values))


def test_images_against_the_formulas() -> None:
    clean, changed = draw(5, 3, 20, 24)
    found = perceptibility(torch.from_numpy(clean), torch.from_numpy(changed))
    mean_square = ((changed.astype(np.float64) - clean) ** 2).mean(axis=(1, 2, 3))
    assert found.linf == pytest.approx(np.abs(changed - clean).max(), abs=1e-7)
    assert found.rms == pytest.approx(np.sqrt(mean_square).mean(), rel=1e-5)
    assert found.psnr == pytest.approx((10 * np.log10(1 / mean_square)).mean(), rel=1e-5)
    expected = np.mean([naive_ssim(a, b) for a, b in zip(clean.astype(float), changed.astype(float), strict=True)])
    assert found.ssim == pytest.approx(expected, abs=1e-4)
    assert 0.5 < expected < 0.999


def test_one_level_everywhere() -> None:
    clean = torch.full((2, 3, 16, 16), 0.5)
    found = perceptibility(clean, clean + 0.1)
    assert found.linf == pytest.approx(0.1, abs=1e-6)
    assert found.rms == pytest.approx(0.1, abs=1e-6)
    assert found.psnr == pytest.approx(20.0, abs=1e-4)


def test_nothing_changed() -> None:
    clean = torch.from_numpy(draw(3, 3, 16, 16)[0])
    found = perceptibility(clean, clean)
    assert (found.linf, found.rms, found.psnr) == (0.0, 0.0, None)
    assert found.ssim == pytest.approx(1.0, abs=1e-5)


def test_one_unchanged_image_leaves_no_finite_mean_of_decibels() -> None:
    clean, changed = (torch.from_numpy(part) for part in draw(3, 3, 16, 16))
    changed[1] = clean[1]
    assert perceptibility(clean, changed).psnr is None


def test_texts_have_no_decibels_and_no_structure() -> None:
    clean, changed = draw(4, 7)
    found = perceptibility(torch.from_numpy(clean), torch.from_numpy(changed))
    difference = changed.astype(np.float64) - clean
    assert found.rms == pytest.approx(np.sqrt((difference**2).mean(axis=1)).mean(), rel=1e-5)
    assert found.linf == pytest.approx(np.abs(difference).max(), abs=1e-7)
    assert found.psnr is None
    assert found.ssim is None
