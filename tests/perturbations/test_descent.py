import pytest
import torch
from torch import Tensor

from aach_lightning.config.choices import AdversarialMethod
from aach_lightning.config.target import HardeningConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.perturbations.descent import PGD
from aach_lightning.perturbations.space import Space
from aach_lightning.targets.adversarial_pairs import perturbations


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_it_is_sign_descent_entry_by_entry() -> None:
    """On sum of w (x - t)^2 each entry walks to its goal by steps of fixed size, held by the ball and the range."""
    clean, goal = uniform(3, 4), uniform(3, 4, seed=1)
    weight, epsilon, size, steps = 1 + uniform(3, 4, seed=2), 0.3, 0.07, 9
    found = PGD(Space(epsilon, "linf", 0.1, 0.9), steps, size)(lambda x: (weight * (x - goal) ** 2).sum(dim=1), clean)
    for value, start, end in zip(
        found.flatten().tolist(), clean.flatten().tolist(), goal.flatten().tolist(), strict=True
    ):
        expected = start
        for _ in range(steps):
            moved = expected + (size if end > expected else -size)
            expected = min(max(min(max(moved, start - epsilon), start + epsilon), 0.1), 0.9)
        assert value == pytest.approx(expected, abs=1e-5)


def test_a_start_is_a_share_of_epsilon_within_the_range() -> None:
    clean = torch.tensor([[0.0, 0.5, 1.0]])
    still = PGD(Space(0.2, "linf", 0.0, 1.0), 0, 0.1)
    start = torch.tensor([[-1.0, 0.5, -0.5]])
    torch.testing.assert_close(still(lambda x: x.sum(dim=1), clean, start), torch.tensor([[0.0, 0.6, 0.9]]))
    assert torch.equal(still(lambda x: x.sum(dim=1), clean), clean)


def test_it_needs_no_gradient_mode_and_leaves_no_graph() -> None:
    weight = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        found = PGD(Space(0.2, "linf", 0.0, 1.0), 2, 0.1)(lambda x: x @ weight, torch.full((1, 2), 0.5))
    torch.testing.assert_close(found, torch.full((1, 2), 0.3))
    assert not found.requires_grad
    assert weight.grad is None


def test_units(toy_pairs: Pairs) -> None:
    config = HardeningConfig(AdversarialMethod.pgd, 8.0, 0.2, 5, 0.25, 3, 1e-4, False)
    images, texts = perturbations(config, toy_pairs).values()
    assert images == PGD(Space(8 / 255, "linf", 0.0, 1.0), 5, 2 / 255)
    assert texts == PGD(Space(0.2, "linf", 0.0, 1.0), 5, 0.05)
