import math
from itertools import product

import pytest
import torch
from torch import Tensor

from aach_lightning.config.method import CMHHConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo.cmhh import (
    CMHHModule,
    exponential_focal_loss,
    exponential_quantisation,
    normalised_distance,
)

BETA, GAMMA, BITS = 0.3, 1.7, 8


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def naive_distance(a: list[float], b: list[float]) -> float:
    norms = [math.sqrt(sum(x * x for x in each)) for each in (a, b)]
    return len(a) / 4 * sum((x / norms[0] - y / norms[1]) ** 2 for x, y in zip(a, b, strict=True))


def naive_focal(images: Tensor, texts: Tensor, similar: list[list[bool]], beta: float, gamma: float) -> float:
    places = list(product(range(len(images)), range(len(texts))))
    shares = {kind: sum(similar[i][j] == kind for i, j in places) / len(places) for kind in (True, False)}
    total = 0.0
    for i, j in places:
        p = math.exp(-beta * naive_distance(images[i].tolist(), texts[j].tolist()))
        loss = -((1 - p) ** gamma) * math.log(p) if similar[i][j] else -(p**gamma) * math.log(1 - p)
        total += loss / shares[similar[i][j]]
    return total / len(places)


def naive_quantisation(codes: Tensor, beta: float, gamma: float) -> float:
    values = []
    for row in codes.tolist():
        p = math.exp(-beta * naive_distance([abs(x) for x in row], [1.0] * len(row)))
        values.append(-((1 - p) ** gamma) * math.log(p))
    return sum(values) / len(values)


def test_distances_of_binary_codes_are_hamming_distances() -> None:
    codes = torch.where(uniform(5, 16, seed=0) > 0, 1.0, -1.0)
    others = torch.where(uniform(7, 16, seed=1) > 0, 1.0, -1.0)
    found = normalised_distance(codes * 0.3, others)
    expected = (codes[:, None] != others).sum(dim=2).float()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert float(normalised_distance(codes, codes).diagonal().max()) < 1e-5


@pytest.mark.parametrize("gamma", [0.0, 1.0, GAMMA])
def test_the_losses_entry_by_entry(gamma: float) -> None:
    images, texts = uniform(4, 6, seed=2), uniform(5, 6, seed=3)
    similarity = uniform(4, 5, seed=4) > 0.3
    assert 0 < similarity.sum() < 20
    found = exponential_focal_loss(normalised_distance(images, texts), similarity.double(), BETA, gamma)
    assert float(found) == pytest.approx(naive_focal(images, texts, similarity.tolist(), BETA, gamma), rel=1e-9)
    found = exponential_quantisation(images, BETA, gamma)
    assert float(found) == pytest.approx(naive_quantisation(images, BETA, gamma), rel=1e-9)


def test_gradients_equal_finite_differences() -> None:
    images, texts = uniform(3, 5, seed=5).requires_grad_(), uniform(4, 5, seed=6).requires_grad_()
    similarity = (uniform(3, 4, seed=7) > 0).double()
    assert torch.autograd.gradcheck(
        lambda a, b: exponential_focal_loss(normalised_distance(a, b), similarity, BETA, GAMMA), (images, texts)
    )
    assert torch.autograd.gradcheck(lambda a: exponential_quantisation(a, BETA, GAMMA), (images,))


@pytest.mark.parametrize("similar", [0.0, 1.0])
def test_equal_codes_have_finite_losses_and_gradients(similar: float) -> None:
    codes = torch.ones(3, 4, requires_grad=True)
    distance = normalised_distance(codes, codes.detach())
    loss = exponential_focal_loss(distance, torch.full((3, 3), similar), BETA, GAMMA)
    loss = loss + exponential_quantisation(codes, BETA, GAMMA)
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert codes.grad is not None
    assert bool(torch.isfinite(codes.grad).all())


def test_what_is_right_already_is_passed_over() -> None:
    distance = torch.tensor([[0.2, 8.0]], dtype=torch.float64)
    plain, focal = (exponential_focal_loss(distance, torch.ones(1, 2), BETA, gamma) for gamma in (0.0, 3.0))
    near = [(1 - math.exp(-BETA * d)) ** 3 * BETA * d for d in (0.2, 8.0)]
    assert float(plain) == pytest.approx(BETA * (0.2 + 8.0) / 2)
    assert float(focal) == pytest.approx(sum(near) / 2)
    assert near[0] / (BETA * 0.2) < 1e-3 < near[1] / (BETA * 8.0)


def test_a_step_is_both_modalities_and_their_quantisation(toy_pairs: Pairs) -> None:
    torch.manual_seed(0)
    image = Encoder(SmallCNN(image_size=32, width=32), HashHead(32, BITS))
    network = HashingNetwork(image, Encoder(TextMLP(16, width=32), HashHead(32, BITS)), BITS)
    batch = toy_pairs.batch([3, 6, 1, 8])
    train = TrainPart(batch.ids, batch.labels, batch.texts, torch.empty(4, 0))
    options = CMHHConfig(beta=BETA, gamma=GAMMA, quantisation=0.7)
    module = CMHHModule(network, train, Schedule(1e-3, 1e-3, 1), options)
    images, texts = (half.detach() for half in network(batch.images, batch.texts))
    similar = [[bool((a * b).any()) for b in batch.labels] for a in batch.labels]
    expected = naive_focal(images, texts, similar, BETA, GAMMA)
    expected += 0.7 * sum(naive_quantisation(half, BETA, GAMMA) for half in (images, texts))
    assert module.batch_loss(batch).item() == pytest.approx(expected, rel=1e-4)
