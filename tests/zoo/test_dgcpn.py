from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.config.method import DGCPNConfig
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo import dgcpn
from aach_lightning.zoo.dgcpn import (
    DGCPNModule,
    coherence,
    dgcpn_loss,
    find_neighbours,
)
from tests.zoo.unsupervised import check_gradient, cosine, learned, symmetric, uniform, weights_and_report

BITS = 8


def naive_probabilities(features: Tensor, texts: Tensor, gamma: float, count: int) -> list[dict[int, float]]:
    """P(l | i) of each item i, by its neighbours l."""
    found = []
    for i in range(len(features)):
        near = {
            j: gamma * cosine(features[i], features[j]) + (1 - gamma) * cosine(texts[i], texts[j])
            for j in range(len(features))
        }
        chosen = sorted(near, key=lambda j: -near[j])[:count]
        total = sum(max(near[j], 0.0) for j in chosen)
        found.append({j: max(near[j], 0.0) / total for j in chosen})
    return found


def naive_coherence(probabilities: list[dict[int, float]]) -> list[list[float]]:
    def meet(a: dict[int, float], b: dict[int, float]) -> float:
        return sum(value * b.get(item, 0.0) for item, value in a.items())

    return [[meet(a, b) / (meet(a, a) * meet(b, b)) ** 0.5 for b in probabilities] for a in probabilities]


def naive_loss(images: Tensor, texts: Tensor, wanted: list[list[float]]) -> float:
    """With a weight of 0.3 of coexistence and of 0.2 of consistency."""
    size, total = len(images), 0.0
    image_codes, text_codes = (torch.where(part >= 0, 1.0, -1.0) for part in (images, texts))
    for i in range(size):
        total += 0.3 * (1 - cosine(images[i], texts[i])) ** 2 / size
        for j in range(size):
            total += (cosine(images[i], text_codes[j]) - wanted[i][j]) ** 2 / 2 / size**2
            total += (cosine(image_codes[i], texts[j]) - wanted[i][j]) ** 2 / 2 / size**2
            between = cosine(images[i], texts[j])
            total += 0.2 * (cosine(images[i], images[j]) - between) ** 2 / size**2
            total += 0.2 * (cosine(texts[i], texts[j]) - between) ** 2 / size**2
    return total


@pytest.mark.parametrize(("count", "batch"), [(3, 256), (1, 256), (5, 4), (50, 4)])
def test_steps_to_neighbours_have_the_probabilities_of_a_loop(
    monkeypatch: pytest.MonkeyPatch, count: int, batch: int
) -> None:
    monkeypatch.setattr(dgcpn, "BATCH", batch)
    features, texts = F.normalize(uniform(11, 4, seed=0)), F.normalize(uniform(11, 5, seed=1))
    places, probabilities = find_neighbours(features, texts, 0.7, count)
    assert places.shape == probabilities.shape == (11, min(count, 11))
    expected = naive_probabilities(features, texts, 0.7, count)
    for row, values, wanted in zip(places.tolist(), probabilities.tolist(), expected, strict=True):
        assert dict(zip(row, values, strict=True)) == pytest.approx(wanted, abs=1e-12)


def test_an_item_that_is_like_none_steps_anywhere() -> None:
    places, probabilities = find_neighbours(torch.zeros(4, 3), torch.zeros(4, 2), 0.5, 2)
    assert torch.equal(probabilities, torch.full((4, 2), 0.5))
    assert all(len(set(row)) == 2 for row in places.tolist())


def test_coherence_is_that_of_a_loop() -> None:
    features, texts = uniform(9, 4, seed=2), uniform(9, 5, seed=3)
    places, probabilities = find_neighbours(F.normalize(features), F.normalize(texts), 0.4, 3)
    chosen = [7, 2, 5, 0]
    everyone = naive_probabilities(features, texts, 0.4, 3)
    expected = torch.tensor(naive_coherence([everyone[i] for i in chosen]), dtype=torch.float64)
    torch.testing.assert_close(coherence(places[chosen], probabilities[chosen], 9), expected)
    assert bool((expected == 0).any())
    assert bool(((expected > 0) & (expected < 0.999)).any())


def test_the_loss_is_the_mean_over_pairs_of_its_terms() -> None:
    images, texts, similarity = uniform(4, 6, seed=4), uniform(4, 6, seed=5), symmetric(4, 6)
    found = dgcpn_loss(images, texts, similarity, 0.3, 0.2)
    assert float(found) == pytest.approx(naive_loss(images, texts, similarity.tolist()), rel=1e-12)


def test_its_gradient_equals_finite_differences() -> None:
    similarity = symmetric(3, 7)
    # no entry so near to 0 that a difference would turn its sign
    images, texts = (part + part.sign() * 0.01 for part in (uniform(3, 4, seed=8), uniform(3, 4, seed=9)))
    check_gradient(lambda a, b: dgcpn_loss(a, b, similarity, 0.3, 0.2), images, texts)


def test_a_step_finds_neighbours_among_all_train_items(toy_pairs: Pairs) -> None:
    train, rows = [31, 4, 17, 2, 40, 8, 22, 50], [40, 31, 2]
    torch.manual_seed(0)
    image = Encoder(SmallCNN(image_size=32, width=32), HashHead(32, BITS))
    network = HashingNetwork(image, Encoder(TextMLP(16, width=32), HashHead(32, BITS)), BITS)
    everything, batch = toy_pairs.batch(train), toy_pairs.batch(rows)
    features = uniform(8, 5, seed=10).abs().float()
    module = DGCPNModule(
        network,
        TrainPart(everything.ids, everything.labels, everything.texts, features),
        Schedule(1e-3, 1e-3, 4),
        DGCPNConfig(gamma=0.6, neighbours=3, alpha=0.7, pair_weight=0.3, consistency_weight=0.2),
    )
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    chosen = [train.index(row) for row in rows]
    walks = naive_probabilities(features, everything.texts, 0.6, 3)
    coherent = naive_coherence([walks[i] for i in chosen])
    wanted = [
        [
            0.7 * (2 * coherent[a][b] - 1)
            + 0.3 * 0.6 * (2 * cosine(features[i], features[j]) - 1)
            + 0.3 * 0.4 * (2 * cosine(everything.texts[i], everything.texts[j]) - 1)
            for b, j in enumerate(chosen)
        ]
        for a, i in enumerate(chosen)
    ]
    images, texts = (part.detach() for part in network(batch.images, batch.texts))
    found = module.training_step(batch, 0).detach()
    assert float(found) == pytest.approx(naive_loss(images, texts, wanted), rel=1e-4)
    assert {name for name in module.state_dict() if not name.startswith("network.")} == {"rows"}


def test_it_learns_without_labels(compose_toy: Callable[..., RunConfig], toy_pairs: Pairs) -> None:
    # to a backbone from scratch all images look alike: here the words have to tell
    report = learned(compose_toy, toy_pairs, "dgcpn", "target.method.gamma=0.1", "target.method.neighbours=10")
    assert min(report["validation_map"].values()) > report["chance_map"] + 0.25


def test_labels_change_nothing(compose_toy: Callable[..., RunConfig], toy_pairs: Pairs) -> None:
    shuffled = np.random.default_rng(1).permutation(toy_pairs.labels)
    few = "target.method.neighbours=10"
    both = (toy_pairs.labels, shuffled)
    found = [weights_and_report(compose_toy, toy_pairs, labels, "dgcpn", few) for labels in both]
    (weights, report), (other, other_report) = found
    assert all(torch.equal(weights[name], other[name]) for name in weights)
    assert report["chance_map"] != other_report["chance_map"]
    assert report["kept_epoch"] == other_report["kept_epoch"] == 1  # the last one of two
