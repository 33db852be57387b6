"""The objectives of the white-box literature against loops written out by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aach_lightning.attacks.items import Bank, Items
from aach_lightning.attacks.objectives.cmla import InvertedLikelihood
from aach_lightning.attacks.objectives.hag import UndecidedBits
from aach_lightning.attacks.objectives.mainstay import MainstayCode, mainstay_codes
from aach_lightning.attacks.objectives.sdha import SmoothedDistance
from aach_lightning.attacks.objectives.triplet import ExchangedTriplet
from aach_lightning.config.choices import TripletForm

K, N, M, C = 5, 3, 7, 4


def draw(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 1.9 - 0.95


def signs(values: Tensor) -> list[list[int]]:
    return [[1 if value >= 0 else -1 for value in row] for row in values.tolist()]


RELAXED, OTHER, OWN, HASHED = draw(N, K, seed=0), draw(M, K, seed=1), draw(M, K, seed=2), draw(N, K, seed=3)
DELTA = draw(N, 3, 2, 2, seed=4) * 0.1
CODES = torch.tensor(signs(RELAXED), dtype=torch.int8)
LABELS = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=torch.uint8)
BANK_LABELS = torch.tensor(
    [[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 0, 1, 1]],
    dtype=torch.uint8,
)
ITEMS = Items(RELAXED, CODES, LABELS)
BANK = Bank(OTHER, torch.tensor(signs(OTHER), dtype=torch.int8), OWN, BANK_LABELS)


def shared(i: int, j: int) -> int:
    return sum(a * b for a, b in zip(LABELS[i].tolist(), BANK_LABELS[j].tolist(), strict=True))


def dot(first: Any, second: Any) -> float:
    return sum(float(a) * float(b) for a, b in zip(first, second, strict=True))


def check(objective: Any, expected: list[float]) -> None:
    found = objective.bind(ITEMS, BANK)(HASHED, DELTA)
    assert found.shape == (N,)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(("intra", "distortion"), [(1.0, 1.0), (0.0, 0.0), (0.5, 3.0)])
def test_cmla(intra: float, distortion: float) -> None:
    expected = []
    for i in range(N):
        total = 0.0
        for j in range(M):
            similar = min(1, shared(i, j))
            gamma, theta = dot(HASHED[i], OTHER[j]) / 2, dot(HASHED[i], OWN[j]) / 2
            total += math.log(1 + math.exp(-gamma)) + similar * gamma
            total += intra * (math.log(1 + math.exp(theta)) - similar * theta)
        expected.append(total / M + distortion * float(np.abs(DELTA[i].numpy()).mean()))
    check(InvertedLikelihood(intra, distortion), expected)


def test_cmla_without_its_inner_part_reads_no_codes_of_that_modality() -> None:
    assert InvertedLikelihood(1.0, 0.0).needs_own
    assert not InvertedLikelihood(0.0, 0.0).needs_own


def test_cmla_pulls_similar_items_apart_and_others_together() -> None:
    hashed = torch.zeros(N, K, requires_grad=True)
    (gradient,) = torch.autograd.grad(InvertedLikelihood(0.0, 0.0).bind(ITEMS, BANK)(hashed, DELTA).sum(), hashed)
    for i in range(N):
        # at 0 both parts pull with half their strength: the sum of (S - 1/2) codes / 2
        pull = sum((min(1, shared(i, j)) - 0.5) * OTHER[j] for j in range(M)) / 2 / M
        torch.testing.assert_close(gradient[i], pull)


@pytest.mark.parametrize("threshold", [1.5, 0.4, 2.0])
def test_hag(threshold: float) -> None:
    expected = []
    for i in range(N):
        products = [
            float(h) * int(c) for h, c in zip(HASHED[i], CODES[i], strict=True) if abs(float(h) - int(c)) < threshold
        ]
        expected.append((sum(products) / len(products) + 1) ** 2 if products else 0.0)
    check(UndecidedBits(threshold), expected)


def test_hag_leaves_decided_codes_alone() -> None:
    hashed = (-0.9 * CODES.float()).requires_grad_()
    loss = UndecidedBits(1.5).bind(ITEMS, BANK)(hashed, DELTA)
    assert loss.tolist() == [0.0] * N
    (gradient,) = torch.autograd.grad(loss.sum(), hashed)
    assert not bool(gradient.any())


@pytest.mark.parametrize(("sigma", "distortion"), [(5.0, 1.0), (1.0, 0.0)])
def test_sdha(sigma: float, distortion: float) -> None:
    expected, codes = [], signs(OTHER)
    for i in range(N):
        relevant = [j for j in range(M) if shared(i, j)]
        total = 0.0
        for j in relevant:
            hamming = sum(a != b for a, b in zip(CODES[i].tolist(), codes[j], strict=True))
            smoothed = sum(1 / (1 + math.exp(sigma * float(h) * r)) for h, r in zip(HASHED[i], codes[j], strict=True))
            total += smoothed / math.sqrt(max(1, hamming))
        expected.append(distortion * float(DELTA[i].square().mean()) - total / max(1, len(relevant)))
    check(SmoothedDistance(sigma, distortion), expected)


def test_mainstay() -> None:
    codes, expected = signs(OTHER), []
    for i in range(N):
        weights = [shared(i, j) for j in range(M)]
        irrelevant = [j for j in range(M) if not weights[j]]
        code = []
        for bit in range(K):
            kept = sum(weights[j] * codes[j][bit] for j in range(M)) / sum(weights)
            left = sum(codes[j][bit] for j in irrelevant) / len(irrelevant) if irrelevant else 0.0
            code.append(1 if kept - left >= 0 else -1)
        expected.append(dot(HASHED[i], code) / K)
    check(MainstayCode(), expected)


def test_a_mainstay_code_of_nobody_is_the_opposite_of_the_others() -> None:
    codes = torch.tensor([[1.0, -1.0], [1.0, -1.0], [1.0, 1.0]])
    assert mainstay_codes(torch.zeros(1, 3), codes).tolist() == [[-1.0, 1.0]]
    assert mainstay_codes(torch.ones(1, 3), codes).tolist() == [[1.0, -1.0]]


@pytest.mark.parametrize("form", ["hinge", "nll"])
def test_the_triplet_in_both_forms(form: str) -> None:
    expected, codes, margin = [], signs(OTHER), 0.3 * K
    for i in range(N):
        distances = [sum(a != b for a, b in zip(CODES[i].tolist(), code, strict=True)) for code in codes]
        order = sorted(range(M), key=lambda j: distances[j])
        values = []
        for near in order[:2]:
            for far in order[-3:]:
                excess = margin + (K - dot(HASHED[i], OTHER[far])) / 2 - (K - dot(HASHED[i], OTHER[near])) / 2
                values.append(max(0.0, excess) if form == "hinge" else math.log(1 + math.exp(excess)))
        expected.append(sum(values) / len(values))
    check(ExchangedTriplet(TripletForm(form), 0.3, 2 / M, 3 / M, 0.0), expected)


@pytest.mark.parametrize("objective", [InvertedLikelihood(1.0, 1.0), SmoothedDistance(5.0, 1.0), MainstayCode()])
def test_missing_labels_are_refused(objective: Any) -> None:
    with pytest.raises(ValueError, match="labels"):
        objective.bind(Items(RELAXED, CODES), BANK)


@pytest.mark.parametrize(
    "objective",
    [
        InvertedLikelihood(1.0, 1.0),
        UndecidedBits(1.5),
        SmoothedDistance(2.0, 1.0),
        MainstayCode(),
        ExchangedTriplet(TripletForm.nll, 0.5, 0.3, 0.3, 0.2),
    ],
)
def test_gradients_equal_finite_differences(objective: Any) -> None:
    """In double, away from the places where the losses have a corner."""

    bank = Bank(OTHER.double(), BANK.ranking, OWN.double(), BANK_LABELS)
    loss = objective.bind(Items(RELAXED.double(), CODES, LABELS), bank)
    hashed = HASHED.double().requires_grad_()
    (found,) = torch.autograd.grad(loss(hashed, DELTA.double()).sum(), hashed)
    step = 1e-6
    for place in np.ndindex(N, K):
        shift = torch.zeros(N, K, dtype=torch.float64)
        shift[place] = step
        up, down = (loss(hashed.detach() + sign * shift, DELTA.double()).sum() for sign in (1, -1))
        assert found[place].item() == pytest.approx(float(up - down) / (2 * step), abs=1e-5)
