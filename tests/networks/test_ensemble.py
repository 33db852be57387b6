from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aach_lightning.networks.ensemble import EnsembleNetwork, soften
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork, binary_codes

BITS, PIXELS, WORDS = 6, 12, 5


class Linear(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.linear = nn.Linear(inputs, width)

    def forward(self, inputs: Tensor) -> Tensor:
        features: Tensor = self.linear(inputs.flatten(1))
        return features


def network(width: int, seed: int, bits: int = BITS, hidden: int = 0) -> HashingNetwork:
    torch.manual_seed(seed)
    halves = [Encoder(Linear(size, width), HashHead(width, bits, hidden)) for size in (PIXELS, WORDS)]
    return HashingNetwork(*halves, bits).double().eval()


@pytest.fixture
def members() -> list[HashingNetwork]:
    return [network(7, 0), network(9, 1, hidden=4), network(8, 2)]


def batch(count: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 3, 2, 2, generator=generator, dtype=torch.float64)
    return images, torch.rand(count, WORDS, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("slope", [1.0, 0.3])
def test_logits_are_averaged(members: list[HashingNetwork], slope: float) -> None:
    images, texts = batch()
    hashed = EnsembleNetwork(members, slope)(images, texts)
    for number, found in enumerate(hashed):
        logits = [torch.atanh(member(images, texts)[number]) for member in members]
        torch.testing.assert_close(found, torch.tanh(slope * sum(logits, torch.zeros(())) / 3))


def test_gradients_are_those_of_finite_differences(members: list[HashingNetwork]) -> None:
    images, texts = batch(2)
    assert torch.autograd.gradcheck(EnsembleNetwork(members, 0.5).hash_images, images.requires_grad_())
    assert torch.autograd.gradcheck(EnsembleNetwork(members, 0.5).hash_texts, texts.requires_grad_())


def test_one_member_is_that_network(members: list[HashingNetwork]) -> None:
    alone, softer = EnsembleNetwork(members[:1]), soften(members[0], 0.1)
    for found, soft, expected in zip(alone(*batch()), softer(*batch()), members[0](*batch()), strict=True):
        assert torch.equal(found, expected)
        assert torch.equal(binary_codes(soft), binary_codes(expected))
        assert bool((soft.abs() < expected.abs()).all())
    assert soften(members[0], 1.0) is members[0]


def test_an_ensemble_is_softened_as_a_whole(members: list[HashingNetwork]) -> None:
    images = batch()[0]
    once = EnsembleNetwork(members, 0.3).hash_images(images)
    assert torch.equal(soften(EnsembleNetwork(members), 0.3).hash_images(images), once)
    assert not torch.equal(EnsembleNetwork(members).hash_images(images), once)


def test_bits_that_are_sure_have_a_gradient_again() -> None:
    sure = network(7, 0).float()
    with torch.no_grad():
        sure.image.head[2].weight.mul_(1e3)  # type: ignore[index, union-attr]
    gradients = []
    for source in (sure, soften(sure, 1e-3)):
        images = batch()[0].float().requires_grad_()
        (gradient,) = torch.autograd.grad(source.hash_images(images).sum(), images)
        gradients.append(float(gradient.abs().max()))
    assert gradients[0] < 1e-6 < 1e-2 < gradients[1]


def test_members_share_parameters_which_are_stored_once(members: list[HashingNetwork]) -> None:
    ensemble = EnsembleNetwork(members)
    assert len(ensemble.members) == 3
    for member, found in zip(members, ensemble.members, strict=True):
        assert found.image is member.image
        assert found.text is member.text
    expected = sum(len(member.state_dict()) for member in members)
    assert len(ensemble.state_dict()) == expected
    assert members[0].members == [members[0]]
    images = batch()[0]
    assert all(part is images for part in ensemble.member_inputs(images))


def test_on_features_of_all_backbones_side_by_side(members: list[HashingNetwork]) -> None:
    images, texts = batch()
    for slope in (1.0, 0.4):
        ensemble = EnsembleNetwork(members, slope)
        features = torch.cat([member.image.backbone(images) for member in members], dim=1)  # type: ignore[operator, union-attr]
        short = ensemble.on_features()
        torch.testing.assert_close(short(features, texts), ensemble(images, texts))
        for member, part in zip(short.members, short.member_inputs(features), strict=True):
            assert member.hash_images(part).shape == (5, BITS)


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ([], ValueError),
        ([network(4, 0), network(4, 1, bits=BITS + 1)], ValueError),
        ([HashingNetwork(nn.Linear(4, BITS), nn.Linear(4, BITS), BITS)], TypeError),
    ],
    ids=["none", "code lengths", "no logits"],
)
def test_what_cannot_be_averaged(members: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        EnsembleNetwork(members)


@pytest.mark.parametrize("slope", [0.0, -1.0])
def test_slopes_that_turn_or_lose_every_bit(slope: float) -> None:
    with pytest.raises(ValueError, match="slope"):
        soften(network(4, 0), slope)


def test_logits_need_a_hash_head() -> None:
    encoder = Encoder(Linear(PIXELS, 4), nn.Linear(4, BITS))
    with pytest.raises(TypeError, match="Linear"):
        encoder.logits(torch.rand(2, PIXELS))
