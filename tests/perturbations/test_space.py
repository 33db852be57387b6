import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from aach_lightning.perturbations.space import Norm, Space

NORMS: list[Norm] = ["linf", "l2"]


def draw(seed: int, low: float, high: float, size: float) -> tuple[Tensor, Tensor]:
    """Clean inputs, many of them at the rim of the range, and wild perturbations."""
    generator = torch.Generator().manual_seed(seed)
    clean = low + (high - low) * (torch.rand(3, 2, 5, generator=generator) * 1.4 - 0.2).clamp(0, 1)
    return clean, size * torch.randn(3, 2, 5, generator=generator)


wild = (st.integers(0, 10**6), st.floats(0.001, 0.5), st.floats(-2, 0), st.floats(0.1, 3), st.floats(0.001, 10))


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=60, deadline=None)
@given(*wild)
def test_a_projection_is_in_the_ball_and_in_the_range_and_stays(
    norm: Norm, seed: int, epsilon: float, low: float, width: float, size: float
) -> None:
    space = Space(epsilon, norm, low, low + width)
    clean, delta = draw(seed, low, low + width, size)
    projected = space.project(clean, delta)
    rounding = 4e-7 * (1 + abs(low) + width)
    sizes = projected.abs().amax(dim=(1, 2)) if norm == "linf" else projected.double().square().sum(dim=(1, 2)).sqrt()
    assert bool((sizes <= epsilon + 4 * rounding).all())
    changed = clean + projected
    assert float(changed.min()) >= low - rounding
    assert float(changed.max()) <= low + width + rounding
    torch.testing.assert_close(space.project(clean, projected), projected, atol=2 * rounding, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(*wild)
def test_linf_equals_a_plain_computation(seed: int, epsilon: float, low: float, width: float, size: float) -> None:
    clean, delta = draw(seed, low, low + width, size)
    expected = np.empty(clean.shape)
    for place in np.ndindex(*clean.shape):
        value = float(clean[place])
        step = max(-epsilon, min(epsilon, float(delta[place])))
        expected[place] = max(low, min(low + width, value + step)) - value
    found = Space(epsilon, "linf", low, low + width).project(clean, delta)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_l2_scales_each_item_by_itself_and_keeps_its_direction() -> None:
    clean = torch.full((3, 1, 2), 0.5)
    delta = torch.tensor([[[0.3, 0.4]], [[0.03, 0.04]], [[0.0, 0.0]]])
    projected = Space(0.1, "l2", 0.0, 1.0).project(clean, delta)
    # lengths 0.5, 0.05 and 0: the first is scaled to 0.1, the others stay
    torch.testing.assert_close(projected, torch.tensor([[[0.06, 0.08]], [[0.03, 0.04]], [[0.0, 0.0]]]))


@pytest.mark.parametrize("norm", NORMS)
def test_what_is_allowed_is_not_changed(norm: Norm) -> None:
    clean = torch.full((2, 4), 0.5)
    delta = torch.tensor([[0.01, -0.02, 0.0, 0.03], [0.0, 0.0, -0.04, 0.0]])
    torch.testing.assert_close(Space(0.05, norm, 0.0, 1.0).project(clean, delta), delta, atol=1e-7, rtol=0)


@pytest.mark.parametrize("norm", NORMS)
def test_sign_noise_has_full_strength_where_the_range_allows_it(norm: Norm) -> None:
    clean = torch.full((2, 3, 4, 4), 0.5)
    signs = torch.randint(0, 2, clean.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noise = Space(0.25, norm, 0.0, 1.0).sign_noise(clean, signs)
    size = 0.25 if norm == "linf" else 0.25 / math.sqrt(48)
    torch.testing.assert_close(noise, size * signs.float())
    length = noise.abs().amax() if norm == "linf" else noise[0].square().sum().sqrt()
    assert float(length) == pytest.approx(0.25, rel=1e-5)
    at_rim = Space(0.25, norm, 0.0, 1.0).sign_noise(torch.ones(1, 3, 4, 4), signs[:1])
    torch.testing.assert_close(at_rim, (size * signs[:1].float()).clamp(max=0))


@settings(max_examples=40, deadline=None)
@given(*wild)
def test_one_sided_is_the_nearest_point_that_only_rises(
    seed: int, epsilon: float, low: float, width: float, size: float
) -> None:
    clean, delta = draw(seed, low, low + width, size)
    projected = Space(epsilon, "one_sided", low, low + width).project(clean, delta)
    for value, change, found in zip(*(part.flatten().tolist() for part in (clean, delta, projected)), strict=True):
        # the rim comes last: a clean value below or above the range is brought back into it
        allowed = min(max(value + min(max(change, 0.0), epsilon), low), low + width) - value
        assert found == pytest.approx(allowed, abs=4e-6)


def test_one_sided_noise_is_zero_or_epsilon() -> None:
    signs = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    noise = Space(0.25, "one_sided", 0.0, 1.0).sign_noise(torch.full((1, 4), 0.5), signs)
    assert noise.tolist() == [[0.25, 0.0, 0.25, 0.0]]
