"""Gradient rules of the transfer literature against their formulas, written out on a small smooth function."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from torch import Tensor

from aach_lightning.networks.placement import resize_and_pad
from aach_lightning.perturbations.diversity import InputDiversity
from aach_lightning.perturbations.gradient import GradientOfItems, GradientRule, smooth
from aach_lightning.perturbations.step import SignMomentum
from aach_lightning.runtime.seeding import torch_generator

IDS = torch.tensor([4, 9])
SHAPE = (3, 6, 6)


def draw(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


CLEAN, DELTA, WEIGHTS = draw(2, *SHAPE, seed=0), draw(2, *SHAPE, seed=1) * 0.1, draw(*SHAPE, seed=2)


def value(seen: Tensor, delta: Tensor) -> Tensor:
    """sum of w x^3, plus |delta|^2: its gradient is 3 w x^2 + 2 delta."""
    return (WEIGHTS * seen**3).flatten(1).sum(dim=1) + delta.square().flatten(1).sum(dim=1)


def by_hand(delta: Tensor, scale: float = 1.0) -> Tensor:
    return 3 * WEIGHTS * ((CLEAN + delta) * scale) ** 2 * scale + 2 * delta


def taken(rule: GradientRule, steps: int = 1, deltas: Any = None) -> list[Tensor]:
    gradients = GradientOfItems(rule, IDS, steps, CLEAN)
    return [gradients(number, delta, value)[0] for number, delta in enumerate(deltas or [DELTA] * steps)]


def test_plain() -> None:
    gradients = GradientOfItems(GradientRule(), IDS, 1, CLEAN)
    gradient, found = gradients(0, DELTA, value)
    torch.testing.assert_close(gradient, by_hand(DELTA))
    torch.testing.assert_close(found, value(CLEAN + DELTA, DELTA))
    assert not gradient.requires_grad
    assert not found.requires_grad


@pytest.mark.parametrize("scales", [2, 3, 5])
def test_scales_are_averaged(scales: int) -> None:
    expected = sum(by_hand(DELTA, 1 / 2**power) for power in range(scales)) / scales
    torch.testing.assert_close(taken(GradientRule(scales=scales))[0], expected)


@pytest.mark.parametrize("width", [3, 5, 15])
def test_smoothing_equals_scipys_correlation(width: int) -> None:
    gradient = draw(2, 3, 9, 7, seed=5) - 0.5
    places = np.arange(width) - width // 2
    line = np.exp(-(places**2) / (2 * (width / 2 / 3) ** 2))
    line /= line.sum()
    expected = correlate1d(correlate1d(gradient.numpy(), line, axis=2, mode="constant"), line, axis=3, mode="constant")
    np.testing.assert_allclose(smooth(gradient, width).numpy(), expected, atol=1e-12)
    torch.testing.assert_close(taken(GradientRule(smoothing=width))[0], smooth(by_hand(DELTA), width))


def test_variance_tuning_adds_the_variance_of_the_step_before() -> None:
    rule = GradientRule(neighbours=3, radius=0.2, seed=7)
    generators = [torch_generator(7, "neighbours", item) for item in IDS.tolist()]
    deltas, variance, expected = [DELTA, -DELTA, 2 * DELTA], torch.zeros_like(DELTA), []
    for delta in deltas:
        here = by_hand(delta)
        expected.append(here + variance)
        around = []
        for _ in range(3):
            shift = torch.stack([torch.rand(SHAPE, generator=generator) for generator in generators])
            around.append(by_hand(delta + 0.2 * (2 * shift - 1).double()))
        variance = torch.stack(around).mean(0) - here
    for found, wanted in zip(taken(rule, 3, deltas), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_each_step_sees_its_own_placement() -> None:
    diversity = InputDiversity(1.0, 0.5, seed=3)
    found = taken(GradientRule(diversity), 2)
    placements = diversity.draw(IDS, 2).double()
    for gradient, placement in zip(found, placements, strict=True):
        point = DELTA.clone().requires_grad_()
        seen = resize_and_pad(CLEAN + point, placement)
        (expected,) = torch.autograd.grad(value(seen, point).sum(), point)
        torch.testing.assert_close(gradient, expected)
    assert not torch.equal(*found)


def test_an_item_does_not_see_its_batch() -> None:
    rule = GradientRule(InputDiversity(1.0, 0.5, seed=3), 2, 3, 2, 0.1, seed=1)
    together = taken(rule, 3)
    alone = GradientOfItems(rule, IDS[1:], 3, CLEAN[1:])
    for number, gradients in enumerate(together):
        torch.testing.assert_close(alone(number, DELTA[1:], value)[0], gradients[1:])


def test_nesterov_looks_where_the_momentum_leads() -> None:
    step = SignMomentum(0.5, 0.9, nesterov=True, unit=0.2)
    assert torch.equal(step.lookahead(DELTA), DELTA)
    velocity = torch.zeros_like(DELTA)
    delta = DELTA
    for _ in range(3):
        gradient = by_hand(step.lookahead(delta))
        delta = step(delta, gradient)
        velocity = 0.9 * velocity + gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True)
        torch.testing.assert_close(step.lookahead(delta), delta - 0.1 * 0.9 * velocity)
    assert torch.equal(SignMomentum(0.5, 0.9, unit=0.2).lookahead(DELTA), DELTA)
