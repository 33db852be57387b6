import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from aach_lightning.config.choices import Quantisation, TripletForm
from aach_lightning.mining.triplets import Triplets
from aach_lightning.surrogates.losses import balance_loss, quantisation_loss, triplet_loss

FORMS = list(TripletForm)


def triplets(*rows: tuple[int, int, int]) -> Triplets:
    anchor, positive, negative = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3).T
    return Triplets(anchor, positive, negative)


def dot(first: Tensor, second: Tensor) -> float:
    return sum(a * b for a, b in zip(first.tolist(), second.tolist(), strict=True))


def test_hinge_of_a_hand_computed_example() -> None:
    anchors = torch.tensor([[1.0, -1.0, 0.5, 0.0]])
    others = torch.tensor([[1.0, 1.0, 1.0, 1.0], [-1.0, 1.0, -1.0, -1.0]])
    # a.p = 0.5 -> D = 1.75; a.n = -2.5 -> D = 3.25; margin 2: 2 + 1.75 - 3.25 = 0.5. Exchanged: 2 + 1.5 = 3.5.
    assert float(triplet_loss(anchors, others, triplets((0, 0, 1)), 2.0, TripletForm.hinge)) == 0.5
    assert float(triplet_loss(anchors, others, triplets((0, 0, 1), (0, 1, 0)), 2.0, TripletForm.hinge)) == 2.0
    assert float(triplet_loss(anchors, others, triplets((0, 0, 1)), 1.0, TripletForm.hinge)) == 0.0


def test_nll_of_a_hand_computed_example() -> None:
    anchors, others = torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    # Theta(a, p) = 1, Theta(a, n) = 0, margin 1: -log sigmoid(0) = log 2
    assert float(triplet_loss(anchors, others, triplets((0, 0, 1)), 1.0, TripletForm.nll)) == pytest.approx(math.log(2))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.floats(0, 6), st.integers(0, 10**6))
def test_both_forms_equal_naive_loops(code_length: int, count: int, margin: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    anchors = torch.rand(4, code_length, generator=generator, dtype=torch.float64) * 2 - 1
    others = torch.rand(5, code_length, generator=generator, dtype=torch.float64) * 2 - 1
    rows = [
        (int(torch.randint(4, (), generator=generator)), *torch.randint(5, (2,), generator=generator).tolist())
        for _ in range(count)
    ]
    hinge, nll = 0.0, 0.0
    for a, p, n in rows:
        to_positive = (code_length - dot(anchors[a], others[p])) / 2
        to_negative = (code_length - dot(anchors[a], others[n])) / 2
        hinge += max(0.0, margin + to_positive - to_negative) / count
        gap = dot(anchors[a], others[p]) / 2 - dot(anchors[a], others[n]) / 2 - margin
        nll += -math.log(1 / (1 + math.exp(-gap))) / count
    assert float(triplet_loss(anchors, others, triplets(*rows), margin, TripletForm.hinge)) == pytest.approx(
        hinge, abs=1e-9
    )
    assert float(triplet_loss(anchors, others, triplets(*rows), margin, TripletForm.nll)) == pytest.approx(
        nll, abs=1e-9
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_step_downhill_brings_positives_nearer_and_negatives_farther(form: TripletForm) -> None:
    generator = torch.Generator().manual_seed(0)
    anchors, others = torch.rand(1, 8, generator=generator) - 0.5, torch.rand(2, 8, generator=generator) - 0.5
    others.requires_grad_()
    triplet_loss(anchors, others, triplets((0, 0, 1)), 4.0, form).backward()
    assert others.grad is not None
    moved = others.detach() - 0.1 * others.grad
    assert dot(anchors[0], moved[0]) > dot(anchors[0], others[0])
    assert dot(anchors[0], moved[1]) < dot(anchors[0], others[1])


@pytest.mark.parametrize("form", FORMS)
def test_no_triplets_cost_nothing_and_still_have_a_gradient(form: TripletForm) -> None:
    anchors, others = torch.rand(2, 3, requires_grad=True), torch.rand(2, 3, requires_grad=True)
    loss = triplet_loss(anchors, others, triplets(), 1.0, form)
    assert loss.item() == 0.0
    loss.backward()
    for inputs in (anchors, others):
        assert inputs.grad is not None
        assert not bool(inputs.grad.any())


def test_quantisation_of_a_hand_computed_example() -> None:
    relaxed = torch.tensor([[0.5, -0.25], [0.0, 1.0]])
    codes = torch.tensor([[-1, -1], [1, -1]], dtype=torch.int8)
    # four squared gaps each: 0.25, 0.5625, 1 and 0 to the sign; 2.25, 0.5625, 1 and 4 to the answered code
    assert float(quantisation_loss(relaxed, codes, Quantisation.sign)) == pytest.approx(0.453125)
    assert float(quantisation_loss(relaxed, codes, Quantisation.code)) == pytest.approx(1.953125)


def test_quantisation_pulls_to_the_wanted_code() -> None:
    relaxed = torch.tensor([[0.5, -0.25]], requires_grad=True)
    codes = torch.tensor([[-1, -1]], dtype=torch.int8)
    (to_sign,) = torch.autograd.grad(quantisation_loss(relaxed, codes, Quantisation.sign), relaxed)
    (to_code,) = torch.autograd.grad(quantisation_loss(relaxed, codes, Quantisation.code), relaxed)
    assert to_sign.tolist() == [[-0.5, 0.75]]
    assert to_code.tolist() == [[1.5, 0.75]]


def test_codes_that_nobody_knows_cannot_be_pulled_to() -> None:
    relaxed = torch.tensor([[0.5, -0.25]])
    assert float(quantisation_loss(relaxed, None, Quantisation.sign)) == pytest.approx(0.40625)
    with pytest.raises(ValueError, match="not asked"):
        quantisation_loss(relaxed, None, Quantisation.code)


def test_balance_of_a_hand_computed_example() -> None:
    relaxed = torch.tensor([[0.5, -1.0], [0.5, 1.0], [-0.4, 1.0]], requires_grad=True)
    loss = balance_loss(relaxed)
    assert loss.item() == pytest.approx((0.2**2 + (1 / 3) ** 2) / 2)
    (gradient,) = torch.autograd.grad(loss, relaxed)
    assert gradient[0].tolist() == pytest.approx([0.2 / 3, 1 / 9])
