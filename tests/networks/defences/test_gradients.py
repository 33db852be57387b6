"""What an attacker gets who knows a defence: its exact output, and a gradient that leads somewhere."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aach_lightning.config.target import (
    BitDepthConfig,
    DefenceConfig,
    JPEGConfig,
    MedianConfig,
    NoDefenceConfig,
    ResizeConfig,
)
from aach_lightning.networks.bfloat16 import BFloat16Network
from aach_lightning.networks.build import build_defence
from aach_lightning.networks.defences import JPEG, BitDepth, MedianFilter, RandomResize, with_defence
from aach_lightning.networks.defences.straight_through import straight_through
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP

DEFENCES = [
    pytest.param(JPEG(50), id="jpeg"),
    pytest.param(BitDepth(3), id="bits"),
    pytest.param(MedianFilter(3), id="median"),
    pytest.param(RandomResize(0.7, 0), id="resize"),
]


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def gradient_of(defence: nn.Module, images: Tensor, weights: Tensor) -> Tensor:
    images = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((defence(images) * weights).sum(), images)
    return gradient


def test_straight_through_has_the_exact_values() -> None:
    exact, stand_in = uniform(1000), uniform(1000, seed=1).mul(1e6).requires_grad_()
    found = straight_through(exact, stand_in)
    assert torch.equal(found, exact)
    (gradient,) = torch.autograd.grad((found * exact).sum(), stand_in)
    assert torch.equal(gradient, exact)


@pytest.mark.parametrize("defence", DEFENCES[:2])
def test_the_stand_in_of_what_has_no_gradient_is_the_identity(defence: nn.Module) -> None:
    weights = uniform(2, 3, 16, 16, seed=1)
    assert torch.equal(gradient_of(defence, uniform(2, 3, 16, 16), weights), weights)


def test_the_gradient_of_the_median_goes_to_the_median() -> None:
    picture, weights = uniform(1, 3, 6, 7), uniform(1, 3, 6, 7, seed=1)
    expected = np.zeros((3, 6, 7))
    for channel, y, x in np.ndindex(3, 6, 7):
        # edges mirrored: -1 is 1, and the last but one comes again after the last
        places = [(5 - abs(5 - abs(y + dy)), 6 - abs(6 - abs(x + dx))) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        middle = sorted(places, key=lambda place: float(picture[0, channel][place]))[4]
        expected[channel][middle] += float(weights[0, channel, y, x])
    found = gradient_of(MedianFilter(3), picture, weights)[0]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_resizing_is_its_own() -> None:
    defence = RandomResize(0.7, 0)
    levels = (uniform(2, 3, 16, 16) * 255).round()
    weights = uniform(2, 3, 16, 16, seed=1).double()
    gradient = gradient_of(defence, levels.double() / 255, weights)
    step = 1e-4  # rounds to the same 8 bits, so that the same is drawn
    probe = torch.where(uniform(2, 3, 16, 16, seed=2) > 0.5, step, -step).double()
    up, down = (((defence((levels / 255).double() + s * probe)) * weights).sum() for s in (1, -1))
    assert float((gradient * probe).sum()) == pytest.approx(float(up - down) / 2, rel=1e-4)


def hashing_network() -> HashingNetwork:
    torch.manual_seed(0)
    image = Encoder(SmallCNN(image_size=16, width=32), HashHead(32, 8))
    return HashingNetwork(image, Encoder(TextMLP(5, width=32), HashHead(32, 8)), 8).eval()


@pytest.mark.parametrize("defence", DEFENCES)
def test_a_network_behind_a_defence_is_a_network(defence: nn.Module) -> None:
    network, images, texts = hashing_network(), uniform(4, 3, 16, 16), uniform(4, 5)
    defended = with_defence(network, defence)
    assert isinstance(defended, HashingNetwork)
    assert not any(module.training for module in defended.modules())
    assert defended.code_length == 8
    assert torch.equal(defended.hash_images(images), network.hash_images(defence(images)))
    assert torch.equal(defended.hash_texts(texts), network.hash_texts(texts))
    assert {id(p) for p in defended.parameters()} == {id(p) for p in network.parameters()}
    assert with_defence(network.train(), defence).training
    assert not torch.equal(defended.hash_images(images), network.eval().hash_images(images))


def test_without_a_defence_it_is_the_network_itself() -> None:
    network = hashing_network()
    assert with_defence(network, build_defence(NoDefenceConfig())) is network


@pytest.mark.parametrize("defence", DEFENCES)
def test_steps_along_the_gradient_lead_somewhere_that_random_ones_do_not(defence: nn.Module) -> None:
    network, clean = with_defence(hashing_network(), defence), uniform(12, 3, 16, 16)
    start = network.hash_images(clean).detach()

    def kept(delta: Tensor) -> Tensor:
        return (network.hash_images((clean + delta).clamp(0, 1)) * start).sum(dim=1).mean()

    delta = velocity = torch.zeros_like(clean)
    for _ in range(25):
        delta.requires_grad_()
        (gradient,) = torch.autograd.grad(kept(delta), delta)
        velocity = velocity + gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True)
        delta = (delta.detach() - 0.01 * velocity.sign()).clamp(-0.1, 0.1)
    noise = [0.1 * (2 * (uniform(12, 3, 16, 16, seed=seed) > 0.5).float() - 1) for seed in range(3)]
    with torch.no_grad():
        assert kept(delta) < min(kept(signs) for signs in noise) - 0.1 * kept(torch.zeros_like(clean))


def test_a_defence_stays_exact_before_a_network_in_bfloat16() -> None:
    seen: list[Tensor] = []

    class Remembering(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images)
            return images.flatten(1)[:, :8]

    for defence in (RandomResize(0.7, 0), JPEG(50)):
        network = with_defence(HashingNetwork(Remembering(), nn.Identity(), 8), defence)
        images = uniform(2, 3, 16, 16)
        BFloat16Network(network).hash_images(images)
        assert torch.equal(seen[-1], defence(images))


@pytest.mark.parametrize(
    ("config", "kind", "values"),
    [
        (JPEGConfig(quality=40), JPEG, {"quality": 40}),
        (BitDepthConfig(bits=5), BitDepth, {"bits": 5}),
        (ResizeConfig(smallest=0.5, seed=3), RandomResize, {"smallest": 0.5, "seed": 3}),
        (MedianConfig(window=7), MedianFilter, {"window": 7}),
        (NoDefenceConfig(), nn.Identity, {}),
    ],
)
def test_a_defence_from_its_configuration(config: DefenceConfig, kind: type, values: dict[str, float]) -> None:
    defence = build_defence(config)
    assert type(defence) is kind
    assert {name: getattr(defence, name) for name in values} == values
