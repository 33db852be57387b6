import math

import pytest
import torch

from aach_lightning.networks.likelihood import inverted_likelihood, likelihood


def uniform(*shape: int, seed: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_both_are_the_negative_log_of_a_probability() -> None:
    theta, similar = 6 * uniform(4, 5, seed=0) - 3, (uniform(4, 5, seed=1) > 0.5).double()
    for row, (values, found, inverted) in enumerate(
        zip(
            theta.tolist(),
            likelihood(theta, similar).tolist(),
            inverted_likelihood(theta, similar).tolist(),
            strict=True,
        )
    ):
        probability = [1 / (1 + math.exp(-value)) for value in values]  # that two items are similar
        own = [p if s else 1 - p for p, s in zip(probability, similar[row].tolist(), strict=True)]
        assert found == pytest.approx(-sum(map(math.log, own)) / 5)
        assert inverted == pytest.approx(-sum(math.log(1 - p) for p in own) / 5)


def test_large_products_stay_finite() -> None:
    theta, similar = torch.tensor([[500.0, -500.0]]), torch.tensor([[1.0, 0.0]])
    assert likelihood(theta, similar).item() == 0
    assert inverted_likelihood(theta, similar).item() == 500
