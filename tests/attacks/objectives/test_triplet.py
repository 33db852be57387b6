import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from aach_lightning.attacks.objectives.triplet import exchanged_triplet, nearest_and_farthest


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def distance(first: Tensor, second: Tensor) -> float:
    return (len(first) - sum(a * b for a, b in zip(first.tolist(), second.tolist(), strict=True))) / 2


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(1, 4), st.floats(0, 8), st.floats(0, 2), st.integers(0, 10**6))
def test_exchanged_triplet_equals_naive_loops(
    bits: int, positives: int, negatives: int, margin: float, weight: float, seed: int
) -> None:
    relaxed, near = uniform(3, bits, seed=seed), uniform(3, positives, bits, seed=seed + 1)
    far = uniform(3, negatives, bits, seed=seed + 2)
    expected = []
    for item in range(3):
        hinges = [
            max(0.0, margin + distance(relaxed[item], n) - distance(relaxed[item], p))
            for p in near[item]
            for n in far[item]
        ]
        gaps = [(value - (1 if value >= 0 else -1)) ** 2 for value in relaxed[item].tolist()]
        expected.append(sum(hinges) / len(hinges) + weight * sum(gaps) / bits)
    found = exchanged_triplet(relaxed, near, far, margin, weight)
    assert found.shape == (3,)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-10)


def test_its_gradient_equals_finite_differences() -> None:
    relaxed = uniform(2, 5, seed=0).requires_grad_()
    near, far = uniform(2, 3, 5, seed=1), uniform(2, 4, 5, seed=2)
    (found,) = torch.autograd.grad(exchanged_triplet(relaxed, near, far, 1.0, 0.3).sum(), relaxed)
    step = 1e-6
    for place in np.ndindex(2, 5):
        shift = torch.zeros(2, 5, dtype=torch.float64)
        shift[place] = step
        up, down = (exchanged_triplet(relaxed.detach() + sign * shift, near, far, 1.0, 0.3).sum() for sign in (1, -1))
        assert found[place].item() == pytest.approx(float(up - down) / (2 * step), abs=1e-6)


def test_a_step_downhill_leaves_positives_and_approaches_negatives() -> None:
    relaxed = (uniform(1, 6, seed=0) * 0.1).requires_grad_()
    near, far = uniform(1, 1, 6, seed=1), uniform(1, 1, 6, seed=2)
    (gradient,) = torch.autograd.grad(exchanged_triplet(relaxed, near, far, 6.0, 0.0).sum(), relaxed)
    moved = relaxed.detach() - 0.1 * gradient
    assert distance(moved[0], near[0, 0]) > distance(relaxed.detach()[0], near[0, 0])
    assert distance(moved[0], far[0, 0]) < distance(relaxed.detach()[0], far[0, 0])


def test_from_k_bits_on_the_hinge_never_closes() -> None:
    code = torch.ones(1, 8)
    reached = exchanged_triplet(code, -code[None], code[None], 8.0, 0.0)  # already at the negative
    assert reached.tolist() == [0.0]
    assert exchanged_triplet(code, -code[None] * 0.999, code[None], 8.0, 0.0).item() > 0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 10**6), st.data())
def test_nearest_and_farthest_equal_a_stable_sort(items: int, bits: int, seed: int, data: st.DataObject) -> None:
    generator = torch.Generator().manual_seed(seed)
    anchors = torch.randint(0, 2, (3, bits), generator=generator, dtype=torch.int8) * 2 - 1
    bank = torch.randint(0, 2, (items, bits), generator=generator, dtype=torch.int8) * 2 - 1
    positives, negatives = (data.draw(st.integers(1, items)) for _ in range(2))
    near, far = nearest_and_farthest(anchors, bank, positives, negatives)
    counted = (anchors.numpy()[:, None, :] != bank.numpy()[None, :, :]).sum(axis=2)
    order = np.argsort(counted, axis=1, kind="stable")
    assert near.tolist() == order[:, :positives].tolist()
    assert far.tolist() == order[:, items - negatives :].tolist()
