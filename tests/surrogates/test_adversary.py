import pytest
import torch
from torch import Tensor, nn

from aach_lightning.runtime import ranks
from aach_lightning.surrogates.adversary import Adversary

BITS, COUNT = 6, 12


class Hash(nn.Module):
    """A linear hash with dropout, which must play no part."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(48, BITS, bias=False)
        self.dropout = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        hashed: Tensor = self.linear(self.dropout(images).flatten(1))
        return hashed


@pytest.fixture
def world() -> tuple[Hash, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = 0.1 + 0.8 * torch.rand(COUNT, 3, 4, 4, generator=generator)
    codes = torch.randint(0, 2, (COUNT, BITS), generator=generator, dtype=torch.int8) * 2 - 1
    return Hash(), images, codes


def changed(world: tuple[Hash, Tensor, Tensor], epsilon: float, steps: int, seed: int = 0) -> Tensor:
    encoder, images, codes = world
    return Adversary(epsilon, steps)(encoder, images, codes, torch.Generator().manual_seed(seed), COUNT)


def test_one_step_on_a_linear_hash_in_closed_form(world: tuple[Hash, Tensor, Tensor]) -> None:
    encoder, images, codes = world
    bounds = torch.rand(COUNT, 1, 1, 1, generator=torch.Generator().manual_seed(5)) * 4 / 255
    gradient = (codes.float() @ encoder.linear.weight.detach()).view_as(images)
    torch.testing.assert_close(changed(world, 4.0, 1, seed=5), images - bounds * gradient.sign(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_changes_are_bounded_images_that_agree_less(world: tuple[Hash, Tensor, Tensor], steps: int) -> None:
    encoder, images, codes = world
    found = changed(world, 60.0, steps)
    bounds = torch.rand(COUNT, 1, 1, 1, generator=torch.Generator().manual_seed(0)) * 60 / 255
    assert bool(((found - images).abs() <= bounds + 1e-6).all())
    assert 0 <= float(found.min()) < float(found.max()) <= 1
    encoder.eval()
    before, after = ((encoder(inputs) * codes).sum(dim=1) for inputs in (images, found))
    assert bool((after < before).all())
    assert not found.requires_grad


def test_the_network_stays_as_it_was(world: tuple[Hash, Tensor, Tensor]) -> None:
    encoder = world[0].train()
    encoder.dropout.eval()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    changed(world, 8.0, 2)
    assert torch.equal(torch.rand(3), expected)  # no dropout was drawn
    assert encoder.training
    assert encoder.linear.training
    assert not encoder.dropout.training
    assert encoder.linear.weight.grad is None


def test_what_an_image_gets_does_not_depend_on_who_holds_it(
    world: tuple[Hash, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, images, codes = world
    whole = changed(world, 8.0, 2)
    parts = []
    for rows in (slice(0, 5), slice(5, COUNT)):
        monkeypatch.setattr(ranks, "own_share", lambda count, rows=rows: rows)
        generator = torch.Generator().manual_seed(0)
        parts.append(Adversary(8.0, 2)(encoder, images[rows], codes[rows], generator, COUNT))
    torch.testing.assert_close(torch.cat(parts), whole)


def test_switched_off() -> None:
    assert not Adversary(0.0, 1).active
    assert Adversary(0.5, 1).active
