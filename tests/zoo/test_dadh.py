import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aach_lightning.config.method import DADHConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo.auxiliary import gradient_penalty
from aach_lightning.zoo.dadh import (
    DADHModule,
    discrete_codes,
    graded_relevance,
    weighted_triplets,
)

BITS, WIDTH, ROWS = 8, 12, [31, 4, 17, 2, 40, 8]


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def naive_relevance(labels: list[list[int]]) -> list[list[float]]:
    table = []
    for own in labels:
        gains = [2.0 ** sum(a * b for a, b in zip(own, other, strict=True)) - 1 for other in labels]
        ideal = sum(gain / math.log2(rank + 1) for rank, gain in enumerate(sorted(gains, reverse=True), 1))
        table.append([gain / ideal if ideal else 0.0 for gain in gains])
    return table


def naive_triplets(anchors: list[list[float]], others: list[list[float]], labels: list[list[int]]) -> float:
    def apart(a: list[float], b: list[float]) -> float:
        return 1 - float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))

    table, total = naive_relevance(labels), 0.0
    for a, p, n in product(range(len(labels)), repeat=3):
        if table[a][p] > 0 and table[a][n] == 0:
            excess = apart(anchors[a], others[p]) - apart(anchors[a], others[n]) + 0.4
            total += (table[a][p] - table[a][n]) * max(0.0, excess)
    return total / len(labels)


LABELS = [[1, 1, 0], [0, 1, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]]


def test_relevance_by_hand() -> None:
    # shared with the first: 2, 1, 0, 2, 0; gains 3, 1, 0, 3, 0
    ideal = 3 / 1 + 3 / math.log2(3) + 1 / 2
    found = graded_relevance(torch.tensor(LABELS, dtype=torch.float64))
    assert found[0].tolist() == pytest.approx([3 / ideal, 1 / ideal, 0, 3 / ideal, 0])
    assert found[4].tolist() == [0.0] * 5
    torch.testing.assert_close(found, torch.tensor(naive_relevance(LABELS), dtype=torch.float64))


def test_triplets_one_after_the_other() -> None:
    anchors, others = uniform(5, 6, seed=0), uniform(5, 6, seed=1)
    found = weighted_triplets(anchors, others, torch.tensor(LABELS, dtype=torch.float64), 0.4)
    assert float(found) == pytest.approx(naive_triplets(anchors.tolist(), others.tolist(), LABELS), rel=1e-9)
    assert found > 0


def test_gradients_equal_finite_differences() -> None:
    anchors, others = uniform(5, 4, seed=2).requires_grad_(), uniform(5, 4, seed=3).requires_grad_()
    labels = torch.tensor(LABELS, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda a, b: weighted_triplets(a, b, labels, 0.4), (anchors, others))


def test_discrete_codes_are_a_ridge_regression_on_labels() -> None:
    labels = (uniform(12, 3, seed=4) > 0).double()
    codes = torch.where(uniform(12, 5, seed=5) > 0, 1.0, -1.0).double()
    relaxed = uniform(12, 5, seed=6)
    # ridge regression as least squares with rows sqrt(1) * identity below
    rows = np.vstack([labels.numpy(), np.eye(3)])
    projection = np.linalg.lstsq(rows, np.vstack([codes.numpy(), np.zeros((3, 5))]), rcond=None)[0]
    expected = np.where(labels.numpy() @ projection + 0.3 * relaxed.numpy() >= 0, 1.0, -1.0)
    assert discrete_codes(codes, relaxed, labels, 0.3).tolist() == expected.tolist()


def test_the_penalty_of_a_linear_discriminator_is_that_of_its_weights() -> None:
    linear = nn.Linear(3, 1)
    ones, zeros, shares = torch.randn(4, 3), torch.randn(4, 3), torch.rand(4, 3)
    penalty = gradient_penalty(linear, ones, zeros, shares)
    length = math.sqrt(sum(w * w for w in linear.weight.flatten().tolist()))
    assert penalty.item() == pytest.approx((length - 1) ** 2, rel=1e-5)
    penalty.backward()
    assert linear.weight.grad is not None
    torch.testing.assert_close(linear.weight.grad, 2 * (length - 1) * linear.weight.detach() / length)


def test_the_penalty_is_taken_between_its_inputs() -> None:
    class Cube(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return (inputs**3).sum(dim=1, keepdim=True)

    ones, zeros = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, -2.0]])
    # at (0.5, 1): gradient (0.75, 3)
    found = gradient_penalty(Cube(), ones, zeros, torch.tensor([[0.5, 0.75]]))
    assert found.item() == pytest.approx((math.sqrt(0.75**2 + 9) - 1) ** 2, rel=1e-5)


@pytest.fixture
def module(toy_pairs: Pairs) -> DADHModule:
    torch.manual_seed(0)
    image = Encoder(SmallCNN(image_size=32, width=32), HashHead(32, BITS, hidden=WIDTH))
    network = HashingNetwork(image, Encoder(TextMLP(16, width=32), HashHead(32, BITS, hidden=WIDTH)), BITS)
    batch = toy_pairs.batch(ROWS)
    train = TrainPart(batch.ids, batch.labels, batch.texts, torch.empty(6, 0))
    options = DADHConfig(margin=0.4, alpha=0.9, eta=0.2, mu=0.5, theta=1.1, penalty=0.0, gamma=0.1, auxiliary_lr=3e-3)
    return DADHModule(network, train, Schedule(1e-3, 2e-3, 4), options)


def test_a_step_is_triplets_quantisation_pairs_and_two_discriminators(module: DADHModule, toy_pairs: Pairs) -> None:
    rows = [40, 31, 2]
    batch = toy_pairs.batch(rows)
    loss = module.batch_loss(batch).item()
    with torch.no_grad():
        halves = []
        for half, inputs in ((module.network.image, batch.images), (module.network.text, batch.texts)):
            assert isinstance(half, Encoder)
            layers = list(half.head)  # norm, dropout (0), linear, ReLU
            halves.append((layers[3](layers[2](layers[0](half.backbone(inputs)))), half(inputs)))
        codes = [half[1].tolist() for half in halves]
        labels = batch.labels.tolist()
        expected = 0.9 * (naive_triplets(*codes, labels) + naive_triplets(*codes[::-1], labels))
        for side, half in enumerate(halves):
            for place, row in enumerate(rows):
                kept = module.codes[side][sorted(ROWS).index(row)]
                expected += 0.2 * float(((half[1][place] - kept) ** 2).sum()) / 3
        for a, b in zip(*codes, strict=True):
            expected += 1.1 * float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b) - 1) ** 2 / 3
        for which, discriminator in enumerate(module.discriminators):
            for half, sign in zip(halves, (1, -1), strict=True):  # images are to be called 1
                logits = discriminator(half[which]).flatten().tolist()
                expected += sum(math.log(1 + math.exp(-sign * logit)) for logit in logits) / 3
    assert loss == pytest.approx(expected, rel=1e-4)


def test_codes_change_with_the_epoch_and_a_checkpoint_keeps_them(module: DADHModule, toy_pairs: Pairs) -> None:
    names = {name for name, _ in module.named_buffers() if not name.startswith("network.")}
    assert names == {"rows", "labels", "relaxed", "codes"}
    before = module.codes.clone()
    assert torch.equal(before[0], before[1])
    batch = toy_pairs.batch([17, 31])
    module.batch_loss(batch)
    images, texts = (half.detach() for half in module.network(batch.images, batch.texts))
    for place, row in enumerate((17, 31)):
        torch.testing.assert_close(module.relaxed[0, sorted(ROWS).index(row)], images[place])
        torch.testing.assert_close(module.relaxed[1, sorted(ROWS).index(row)], texts[place])
    module.on_train_epoch_end()
    labels = torch.from_numpy(toy_pairs.labels[sorted(ROWS)]).float()
    for side in range(2):
        assert torch.equal(module.codes[side], discrete_codes(before[side], module.relaxed[side], labels, 0.1))
