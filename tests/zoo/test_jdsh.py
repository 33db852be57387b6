import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from aach_lightning.config.method import JDSHConfig
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo.jdsh import (
    Distribution,
    JDSHModule,
    fit_distribution,
    jdsh_loss,
    joint_modal,
    weighted,
)
from aach_lightning.zoo.unsupervised import sharpened
from tests.zoo.unsupervised import check_gradient, cosine, learned, symmetric, uniform, weights_and_report

BITS = 8
DISTRIBUTION = Distribution(peak=-0.2, left=0.1, right=0.05, lowest=-0.7, highest=0.8)
OPTIONS = JDSHConfig(
    **{"image_weight": 0.5, "text_weight": 0.1, "joint_weight": 0.4},
    **{"left_border": 2.0, "right_border": 4.0, "left_weight": 0.1, "right_weight": 0.2},
    mu=1.47,
    intra_weight=0.1,
)


def naive_joint(images: Tensor, texts: Tensor) -> list[list[float]]:
    size = range(len(images))
    return [
        [
            0.5 * float(images[i, j])
            + 0.1 * float(texts[i, j])
            + 0.4 * (cosine(images[i], texts[j]) + cosine(images[j], texts[i])) / 2
            for j in size
        ]
        for i in size
    ]


def naive_weighted(value: float, distribution: Distribution) -> float:
    if value < distribution.peak - 2.0 * distribution.left:
        return value * (1 + 0.1 * math.exp(-(value - distribution.lowest)))
    if value > distribution.peak + 4.0 * distribution.right:
        return value * (1 + 0.2 * math.exp(value - distribution.highest))
    return value


def naive_loss(images: Tensor, texts: Tensor, wanted: list[list[float]], intra_weight: float) -> float:
    size, squares, pairs = range(len(images)), 0.0, 0.0
    for i in size:
        pairs += cosine(images[i], texts[i])
        for j in size:
            squares += (cosine(images[i], texts[j]) - wanted[i][j]) ** 2
            squares += (cosine(texts[i], images[j]) - wanted[i][j]) ** 2
            squares += intra_weight * (cosine(images[i], images[j]) - wanted[i][j]) ** 2
            squares += intra_weight * (cosine(texts[i], texts[j]) - wanted[i][j]) ** 2
    return squares / len(images) ** 2 - pairs / len(images)


def test_joint_similarities_are_those_of_the_paper() -> None:
    images, texts = symmetric(5, 0), symmetric(5, 1)
    expected = torch.tensor(naive_joint(images, texts), dtype=torch.float64)
    torch.testing.assert_close(joint_modal(images, texts, OPTIONS), expected)


def test_both_ends_of_the_distribution_are_strengthened_and_the_middle_is_not() -> None:
    values = torch.tensor([[1.0, -0.65], [-0.39, 0.01]], dtype=torch.float64)
    values = torch.cat([values.flatten(), torch.linspace(-1, 1, 30, dtype=torch.float64)]).reshape(2, 17)
    found = weighted(values, DISTRIBUTION, OPTIONS)
    expected = [[naive_weighted(value, DISTRIBUTION) for value in row] for row in values.tolist()]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    assert float(found[0, 0]) > 1  # similar
    assert float(found[0, 1]) < -0.65  # dissimilar
    assert float(found[0, 2]) == -0.39


def test_the_fit_finds_the_peak_and_both_tails() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.random(400 * 400) < 0.3
    left = -0.3 - np.abs(rng.normal(0, 0.05, 400 * 400))
    values = np.where(drawn, left, -0.3 + rng.exponential(0.08, 400 * 400)).reshape(400, 400)
    similarity = torch.from_numpy(values)
    similarity.fill_diagonal_(1.0)  # an item with itself does not count
    found = fit_distribution(similarity)
    different = values[~np.eye(400, dtype=bool)]
    assert found.peak == pytest.approx(-0.3, abs=0.02)
    scales = stats.halfnorm.fit(found.peak - different[different < found.peak], floc=0)[1]
    assert found.left == pytest.approx(scales, rel=1e-6)
    assert found.right == pytest.approx(
        stats.expon.fit(different[different > found.peak], floc=found.peak)[1], rel=1e-6
    )
    assert (found.lowest, found.highest) == (different.min(), different.max())


def test_the_fit_of_equal_similarities_has_no_tails() -> None:
    assert fit_distribution(torch.full((3, 3), 0.25)) == Distribution(0.25, 0.0, 0.0, 0.25, 0.25)


def test_the_loss_is_the_mean_over_pairs_of_the_published_terms() -> None:
    images, texts, similarity = uniform(4, 6, seed=2), uniform(4, 6, seed=3), symmetric(4, 4)
    wanted = [[1.47 * value for value in row] for row in similarity.tolist()]
    found = jdsh_loss(images, texts, similarity, 1.47, 0.1)
    assert float(found) == pytest.approx(naive_loss(images, texts, wanted, 0.1), rel=1e-12)


def test_its_gradient_equals_finite_differences_through_sharper_codes() -> None:
    similarity = symmetric(3, 5)

    def loss(images: Tensor, texts: Tensor) -> Tensor:
        return jdsh_loss(sharpened(images, 1.7), sharpened(texts, 1.7), similarity, 1.47, 0.1)

    check_gradient(loss, uniform(3, 4, seed=6) * 0.9, uniform(3, 4, seed=7) * 0.9)


@pytest.mark.parametrize("epoch", [0, 3])
def test_a_step_weighs_by_the_distribution_of_the_train_part(
    toy_pairs: Pairs, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    train, rows = [31, 4, 17, 2, 40, 8], [40, 31, 2]
    torch.manual_seed(0)
    image = Encoder(SmallCNN(image_size=32, width=32), HashHead(32, BITS))
    network = HashingNetwork(image, Encoder(TextMLP(16, width=32), HashHead(32, BITS)), BITS)
    everything, batch = toy_pairs.batch(train), toy_pairs.batch(rows)
    features = uniform(6, 5, seed=8).abs().float()
    module = JDSHModule(
        network,
        TrainPart(everything.ids, everything.labels, everything.texts, features),
        Schedule(1e-3, 1e-3, 4),
        OPTIONS,
    )
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    monkeypatch.setattr(JDSHModule, "current_epoch", epoch)

    def joint(chosen: list[int]) -> list[list[float]]:
        parts = [torch.stack([part[train.index(row)] for row in chosen]) for part in (features, everything.texts)]
        images, texts = (torch.tensor([[2 * cosine(a, b) - 1 for b in part] for a in part]) for part in parts)
        return naive_joint(images, texts)

    distribution = fit_distribution(torch.tensor(joint(train)))
    assert vars(module.distribution) == pytest.approx(vars(distribution), abs=1e-5)
    wanted = [[1.47 * naive_weighted(value, distribution) for value in line] for line in joint(rows)]
    hashed = [
        torch.tanh(math.sqrt(epoch + 1) * torch.atanh(part.detach())) for part in network(batch.images, batch.texts)
    ]
    found = module.training_step(batch, 0).detach()
    assert float(found) == pytest.approx(naive_loss(hashed[0], hashed[1], wanted, 0.1), rel=1e-4)


def test_it_learns_without_labels(compose_toy: Callable[..., RunConfig], toy_pairs: Pairs) -> None:
    # to a backbone from scratch all images look alike: here the words have to tell
    weights = ("target.method.image_weight=0.1", "target.method.text_weight=0.5")
    report = learned(compose_toy, toy_pairs, "jdsh", *weights)
    assert min(report["validation_map"].values()) > report["chance_map"] + 0.25


def test_labels_change_nothing(compose_toy: Callable[..., RunConfig], toy_pairs: Pairs) -> None:
    shuffled = np.random.default_rng(1).permutation(toy_pairs.labels)
    found = [weights_and_report(compose_toy, toy_pairs, labels, "jdsh") for labels in (toy_pairs.labels, shuffled)]
    (weights, report), (other, other_report) = found
    assert all(torch.equal(weights[name], other[name]) for name in weights)
    assert report["chance_map"] != other_report["chance_map"]
    assert report["kept_epoch"] == other_report["kept_epoch"] == 1  # the last one of two
