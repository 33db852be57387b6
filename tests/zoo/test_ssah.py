import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

from aach_lightning.config.method import SSAHConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.networks.sharing import Half
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo.ssah import SSAHModule, discriminator_loss, semantic_loss

BITS, WIDTH = 8, 12
WEIGHTS = (0.9, 1.3, 0.4, 0.6)
OPTIONS = SSAHConfig(
    **dict(zip(("alpha", "gamma", "eta", "beta"), WEIGHTS, strict=True)),
    **{"label_hidden": 20, "label_epochs": 150},
    adversarial=0.3,
    auxiliary_lr=3e-3,
)


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def published(half: Half, memory: Half, labels: Tensor, all_labels: Tensor, codes: Tensor, predicted: Tensor) -> float:
    """The objective of one network, item by item."""
    alpha, gamma, eta, beta = WEIGHTS
    total = 0.0
    for i, j in product(range(len(labels)), range(len(all_labels))):
        similar = float(any(a and b for a, b in zip(labels[i].tolist(), all_labels[j].tolist(), strict=True)))
        for weight, own, other in (
            (alpha, half.semantics, memory.semantics),
            (gamma, half.codes, memory.codes),
        ):
            theta = dot(own[i].tolist(), other[j].tolist()) / 2
            probability = 1 / (1 + math.exp(-theta))
            total -= weight * (similar * math.log(probability) + (1 - similar) * math.log(1 - probability))
    for weight, found, wanted in ((eta, half.codes, codes), (beta, predicted, labels)):
        pairs = zip(found.flatten().tolist(), wanted.flatten().tolist(), strict=True)
        total += weight * sum((a - b) ** 2 for a, b in pairs)
    return total / (len(labels) * len(all_labels))


def draw() -> tuple[Half, Half, Tensor, Tensor, Tensor, Tensor]:
    half = Half(uniform(3, 5, seed=1), uniform(3, 4, seed=2))
    memory = Half(uniform(6, 5, seed=3), uniform(6, 4, seed=4))
    all_labels = (uniform(6, 3, seed=5) > 0.2).double()
    codes = torch.where(uniform(3, 4, seed=6) > 0, 1.0, -1.0).double()
    return half, memory, all_labels[:3], all_labels, codes, uniform(3, 3, seed=7).abs()


def test_the_loss_is_the_published_objective_per_entry() -> None:
    half, memory, labels, all_labels, codes, predicted = draw()
    similarity = (labels @ all_labels.T > 0).double()
    assert 0 < similarity.sum() < similarity.numel()
    found = semantic_loss(half, memory, similarity, codes, predicted, labels, OPTIONS)
    assert float(found) == pytest.approx(published(half, memory, labels, all_labels, codes, predicted), rel=1e-9)


def test_its_gradients_equal_finite_differences() -> None:
    half, memory, labels, all_labels, codes, predicted = draw()
    similarity = (labels @ all_labels.T > 0).double()

    def loss(semantics: Tensor, hashed: Tensor, predicted: Tensor) -> Tensor:
        return semantic_loss(Half(semantics, hashed), memory, similarity, codes, predicted, labels, OPTIONS)

    inputs = [each.requires_grad_() for each in (half.semantics, half.codes, predicted)]
    assert torch.autograd.gradcheck(loss, inputs)


def test_the_discriminator_loss_by_hand() -> None:
    # D = 1/2, 3/4 of labels; 1/5 of items
    found = discriminator_loss(torch.tensor([0.0, math.log(3)]), torch.tensor([-math.log(4)]))
    assert float(found) == pytest.approx((0.25 + 0.0625) / 2 + 0.04)


@pytest.fixture
def module(toy_pairs: Pairs) -> SSAHModule:
    torch.manual_seed(0)
    image = Encoder(SmallCNN(image_size=32, width=32), HashHead(32, BITS, hidden=WIDTH))
    network = HashingNetwork(image, Encoder(TextMLP(16, width=32), HashHead(32, BITS, hidden=WIDTH)), BITS)
    batch = toy_pairs.batch([31, 4, 17, 2, 40, 8])
    train = TrainPart(batch.ids, batch.labels, batch.texts, torch.empty(6, 0))
    return SSAHModule(network, train, Schedule(1e-3, 2e-3, 4), OPTIONS)


def test_a_step_is_three_networks_against_the_labels_and_two_discriminators(
    module: SSAHModule, toy_pairs: Pairs
) -> None:
    batch = toy_pairs.batch([40, 31, 2])
    labels = batch.labels.float()
    loss = module.batch_loss(batch).item()
    with torch.no_grad():
        semantics = module.label_network(labels).relu()
        label = Half(semantics, torch.tanh(module.label_head(semantics)))
        halves = [label]
        for half, inputs in ((module.network.image, batch.images), (module.network.text, batch.texts)):
            assert isinstance(half, Encoder)
            layers = list(half.head)  # norm, dropout (0), linear, ReLU
            hidden = layers[3](layers[2](layers[0](half.backbone(inputs))))
            halves.append(Half(hidden, half(inputs)))
        memory = Half(torch.zeros(6, WIDTH), torch.zeros(6, BITS))
        for place, row in enumerate((40, 31, 2)):
            position = sorted([31, 4, 17, 2, 40, 8]).index(row)
            memory.semantics[position], memory.codes[position] = label.semantics[place], label.codes[place]
        all_labels = torch.from_numpy(toy_pairs.labels[sorted([31, 4, 17, 2, 40, 8])]).float()
        codes = torch.where(sum(half.codes for half in halves) >= 0, 1.0, -1.0)
        expected = 0.0
        for half, classifier in zip(halves, module.classifiers, strict=True):
            predicted = 1 / (1 + torch.exp(-classifier(half.semantics)))
            expected += published(half, memory, labels, all_labels, codes, predicted)
        for half, discriminator in zip(halves[1:], module.discriminators, strict=True):
            real, other = (1 / (1 + torch.exp(-discriminator(x.semantics))) for x in (label, half))
            expected += float(((real - 1) ** 2).mean() + (other**2).mean())
    assert loss == pytest.approx(expected, rel=1e-4)


def likeness(module: SSAHModule) -> float:
    """How likely the similarities of train items are by the codes of their labels, pair by pair."""
    with torch.no_grad():
        codes = module.hash_labels(module.labels).codes.tolist()
    total = 0.0
    for i, j in product(range(6), repeat=2):
        similar = bool((module.labels[i] * module.labels[j]).any())
        theta = dot(codes[i], codes[j]) / 2
        total += math.log(1 / (1 + math.exp(-theta if similar else theta)))
    return total / 36


def test_labels_learn_alone_first(module: SSAHModule, monkeypatch: pytest.MonkeyPatch) -> None:
    own = ("label_network.", "label_head.", "classifiers.0.")
    module.options = replace(OPTIONS, alpha=0.1, gamma=1.0, eta=1e-4, beta=1e-2)
    before, worse = {name: value.clone() for name, value in module.state_dict().items()}, likeness(module)
    monkeypatch.setattr(SSAHModule, "current_epoch", 1)
    module.on_train_start()  # a training that goes on has done it before
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    monkeypatch.setattr(SSAHModule, "current_epoch", 0)
    module.on_train_start()
    changed = {name for name, value in module.state_dict().items() if not torch.equal(before[name], value)}
    assert changed == {name for name in before if name.startswith(own)} | {"label_semantics", "label_codes"}
    assert likeness(module) > worse + 0.1
    with torch.no_grad():
        label = module.hash_labels(module.labels)
    torch.testing.assert_close(module.label_codes, label.codes)
    torch.testing.assert_close(module.label_semantics, label.semantics)
    after = {name: value.clone() for name, value in module.state_dict().items()}
    module.load_state_dict(before)
    module.train_labels()  # the same shuffles again
    assert all(torch.equal(after[name], value) for name, value in module.state_dict().items())


def test_discriminators_learn_and_halves_mislead_them(module: SSAHModule, toy_pairs: Pairs) -> None:
    module.options = replace(OPTIONS, alpha=0.0, gamma=0.0, eta=0.0, beta=0.0)
    batch = toy_pairs.batch([40, 31, 2])
    module.batch_loss(batch).backward()
    misled = module.network.text.head[2].weight.grad.clone()  # type: ignore[operator, union-attr, index]
    learned = module.discriminators[1][0].weight.grad.clone()  # type: ignore[index]
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in module.label_network.parameters())
    module.zero_grad()
    module.options.adversarial = -1.0  # a gradient that is not reversed
    module.batch_loss(batch).backward()
    helped = module.network.text.head[2].weight.grad  # type: ignore[operator, union-attr, index]
    assert misled.abs().sum() > 0
    torch.testing.assert_close(misled, -0.3 * helped)
    torch.testing.assert_close(learned, module.discriminators[1][0].weight.grad)  # type: ignore[index]


def test_what_a_checkpoint_keeps(module: SSAHModule) -> None:
    names = {name for name, _ in module.named_buffers() if not name.startswith("network.")}
    assert names == {"rows", "labels", "label_semantics", "label_codes"}
