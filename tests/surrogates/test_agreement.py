import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from aach_lightning.surrogates.agreement import bit_agreement, distance_correlation, match_bits


def draw_codes(items: int, bits: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (items, bits), generator=generator, dtype=torch.int8) * 2 - 1


def naive_ranks(values: list[float]) -> list[float]:
    return [
        sum(other < value for other in values) + (1 + sum(other == value for other in values)) / 2 for value in values
    ]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(0, 10**6))
def test_a_hidden_symmetry_of_the_cube_is_found_exactly(bits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order, sign = rng.permutation(bits), rng.choice([-1, 1], bits).astype(np.int8)
    target = draw_codes(200, bits, seed)
    surrogate = target[:, order] * torch.from_numpy(sign)
    matching = match_bits(surrogate, target)
    assert matching.order.tolist() == order.tolist()
    assert matching.sign.tolist() == sign.tolist()
    assert torch.equal(matching.apply(surrogate), target)
    assert bit_agreement(surrogate, target, matching) == 1.0


def test_a_known_share_of_wrong_bits_is_reported() -> None:
    target = draw_codes(100, 10, 0)
    surrogate = -target.roll(3, dims=1)
    wrong = torch.zeros(1000, dtype=torch.bool)
    wrong[torch.randperm(1000, generator=torch.Generator().manual_seed(1))[:170]] = True
    surrogate = torch.where(wrong.reshape(100, 10), -surrogate, surrogate)
    assert bit_agreement(surrogate, target, match_bits(surrogate, target)) == pytest.approx(0.83)


def test_unrelated_codes_agree_in_half_of_the_bits() -> None:
    fitted = match_bits(draw_codes(400, 16, 0), draw_codes(400, 16, 1))
    assert bit_agreement(draw_codes(4000, 16, 2), draw_codes(4000, 16, 3), fitted) == pytest.approx(0.5, abs=0.01)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(2, 8), st.integers(0, 10**6))
def test_distance_correlation_equals_a_naive_rank_computation(items: int, bits: int, seed: int) -> None:
    codes = [draw_codes(items, bits, seed + part) for part in range(4)]

    def distances(images: Tensor, texts: Tensor) -> list[float]:
        return [float((image != text).sum()) for image in images for text in texts]

    first, second = distances(codes[0], codes[1]), distances(codes[2], codes[3])
    if len(set(first)) == 1 or len(set(second)) == 1:
        expected = 0.0
    else:
        ranks = np.array([naive_ranks(first), naive_ranks(second)])
        centred = ranks - ranks.mean(axis=1, keepdims=True)
        expected = float((centred[0] * centred[1]).sum() / np.sqrt((centred**2).sum(axis=1).prod()))
    assert distance_correlation(*codes) == pytest.approx(expected, abs=1e-9)


def test_distance_correlation_knows_the_symmetry_of_the_cube() -> None:
    images, texts = draw_codes(12, 16, 0), draw_codes(12, 16, 1)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(2))
    assert distance_correlation(-images[:, order], -texts[:, order], images, texts) == pytest.approx(1)
    assert distance_correlation(-images, texts, images, texts) == pytest.approx(-1)


def test_distance_correlation_of_a_constant_code_is_zero() -> None:
    images, texts = draw_codes(5, 8, 0), draw_codes(5, 8, 1)
    constant = torch.ones_like(images)
    assert distance_correlation(constant, constant, images, texts) == 0.0
    assert distance_correlation(images, texts, constant, constant) == 0.0
