import pytest
import torch

from aach_lightning.attacks.items import Bank, Items
from aach_lightning.attacks.objectives.target_code import TargetCode

BANK = Bank(torch.zeros(1, 4), torch.ones(1, 4, dtype=torch.int8))


def test_it_is_the_share_of_the_wanted_code_item_by_item() -> None:
    goals = torch.tensor([[1, -1, 1, 1], [-1, -1, -1, 1]], dtype=torch.int8)
    items = Items(torch.zeros(2, 4), torch.ones(2, 4, dtype=torch.int8), None, goals)
    loss = TargetCode().bind(items, BANK)
    hashed = torch.tensor([[0.5, 0.25, -0.5, 0.0], [-1.0, -1.0, -1.0, 1.0]], requires_grad=True)
    found = loss(hashed, torch.zeros(2, 9))
    expected = [
        -sum(h * b for h, b in zip(code, goal, strict=True)) / 4 for code, goal in zip(hashed, goals, strict=True)
    ]
    torch.testing.assert_close(found, torch.stack(expected))
    (gradient,) = torch.autograd.grad(found.sum(), hashed)
    assert torch.equal(gradient, -goals / 4)


def test_without_a_goal_there_is_nothing_to_follow() -> None:
    with pytest.raises(ValueError, match="codes that items shall have"):
        TargetCode().bind(Items(torch.zeros(1, 4), torch.ones(1, 4, dtype=torch.int8)), BANK)
