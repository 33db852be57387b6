import numpy as np
import pytest
import torch
from torch import Tensor

from aach_lightning.perturbations.step import AdamStep, SignMomentum, Step

SHAPE = (3, 2, 4)


def gradients(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([1e-6, 1.0, 1e4])[:, None, None]
    return [scales * torch.randn(SHAPE, generator=generator) for _ in range(count)]


def clipped(delta: Tensor) -> Tensor:
    """Some projection between two steps."""
    return delta.clamp(-0.05, 0.05)


@pytest.mark.parametrize("momentum", [0.0, 0.9, 1.0])
def test_sign_momentum_equals_mi_fgsm_written_out(momentum: float) -> None:
    step, delta = SignMomentum(0.02, momentum), torch.zeros(SHAPE)
    expected, velocity = np.zeros(SHAPE), np.zeros(SHAPE)
    for gradient in gradients(8):
        delta = clipped(step(delta, gradient))
        for item in range(SHAPE[0]):
            own = gradient[item].double().numpy()
            velocity[item] = momentum * velocity[item] + own / np.mean(np.abs(own))
            expected[item] = np.clip(expected[item] - 0.02 * np.sign(velocity[item]), -0.05, 0.05)
        np.testing.assert_allclose(delta.numpy(), expected, atol=1e-6)


def test_a_vanished_gradient_moves_nothing() -> None:
    step = SignMomentum(0.1, 1.0)
    assert step(torch.zeros(SHAPE), torch.zeros(SHAPE)).tolist() == torch.zeros(SHAPE).tolist()


def test_adam_equals_torchs_optimizer_on_the_same_tensor() -> None:
    step, delta = AdamStep(0.01), torch.zeros(SHAPE)
    parameter = torch.nn.Parameter(torch.zeros(SHAPE))
    optimizer = torch.optim.Adam([parameter], lr=0.01)
    for gradient in gradients(8):
        delta = clipped(step(delta, gradient))
        parameter.grad = gradient
        optimizer.step()
        with torch.no_grad():
            parameter.copy_(clipped(parameter))
        assert torch.equal(delta, parameter.detach())


def test_adam_equals_the_paper_written_out() -> None:
    step, delta = AdamStep(0.01), torch.zeros(SHAPE)
    expected, first, second = np.zeros(SHAPE), np.zeros(SHAPE), np.zeros(SHAPE)
    for number, gradient in enumerate(gradients(8), start=1):
        delta = clipped(step(delta, gradient))
        own = gradient.double().numpy()
        first = 0.9 * first + 0.1 * own
        second = 0.999 * second + 0.001 * own**2
        ahead = (first / (1 - 0.9**number)) / (np.sqrt(second / (1 - 0.999**number)) + 1e-8)
        expected = np.clip(expected - 0.01 * ahead, -0.05, 0.05)
        np.testing.assert_allclose(delta.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("new", [lambda: SignMomentum(0.02, 0.9), lambda: AdamStep(0.02)])
def test_no_item_sees_another_and_inputs_are_left_alone(new: type[Step]) -> None:
    together, alone = new(), new()
    all_items, one_item = torch.zeros(SHAPE), torch.zeros(1, *SHAPE[1:])
    for gradient in gradients(4):
        before = all_items.clone(), gradient.clone()
        following = together(all_items, gradient)
        assert torch.equal(all_items, before[0])
        assert torch.equal(gradient, before[1])
        all_items, one_item = following, alone(one_item, gradient[1:2])
        torch.testing.assert_close(all_items[1:2], one_item)
