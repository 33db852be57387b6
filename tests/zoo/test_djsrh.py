import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from aach_lightning.config.method import DJSRHConfig
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.pairs import PairBatch, Pairs
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP
from aach_lightning.runtime.checkpoints import load_tensors
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo.djsrh import DJSRHModule, djsrh_loss, joint_semantics
from aach_lightning.zoo.unsupervised import sharpened
from tests.zoo.unsupervised import check_gradient, cosine, learned, symmetric, train, uniform, weights_and_report

BITS = 8
OPTIONS = DJSRHConfig(beta=0.9, eta=0.4, mu=1.5, intra_weight=0.1)


def naive_joint(images: list[list[float]], texts: list[list[float]], beta: float, eta: float) -> list[list[float]]:
    size = range(len(images))
    mixed = [[beta * images[i][j] + (1 - beta) * texts[i][j] for j in size] for i in size]
    return [
        [(1 - eta) * mixed[i][j] + eta * sum(mixed[i][k] * mixed[j][k] for k in size) / len(images) for j in size]
        for i in size
    ]


def naive_loss(images: Tensor, texts: Tensor, wanted: list[list[float]], intra_weight: float) -> float:
    total = 0.0
    for i in range(len(images)):
        for j in range(len(images)):
            total += (cosine(images[i], texts[j]) - wanted[i][j]) ** 2
            total += intra_weight * (cosine(images[i], images[j]) - wanted[i][j]) ** 2
            total += intra_weight * (cosine(texts[i], texts[j]) - wanted[i][j]) ** 2
    return total / len(images) ** 2


@pytest.mark.parametrize(("size", "beta", "eta"), [(5, 0.9, 0.4), (4, 0.0, 1.0), (3, 1.0, 0.0), (1, 0.5, 0.5)])
def test_joint_similarities_are_those_of_the_paper(size: int, beta: float, eta: float) -> None:
    images, texts = symmetric(size, 0), symmetric(size, 1)
    expected = naive_joint(images.tolist(), texts.tolist(), beta, eta)
    torch.testing.assert_close(joint_semantics(images, texts, beta, eta), torch.tensor(expected, dtype=torch.float64))


def test_the_loss_is_the_mean_over_pairs_of_the_published_terms() -> None:
    images, texts, similarity = uniform(4, 6, seed=2), uniform(4, 6, seed=3), symmetric(4, 4)
    wanted = [[1.5 * value for value in row] for row in similarity.tolist()]
    found = djsrh_loss(images, texts, similarity, 1.5, 0.1)
    assert float(found) == pytest.approx(naive_loss(images, texts, wanted, 0.1), rel=1e-12)


def test_its_gradient_equals_finite_differences_through_sharper_codes() -> None:
    similarity = symmetric(3, 5)

    def loss(images: Tensor, texts: Tensor) -> Tensor:
        return djsrh_loss(sharpened(images, 1.7), sharpened(texts, 1.7), similarity, 1.5, 0.1)

    check_gradient(loss, uniform(3, 4, seed=6) * 0.9, uniform(3, 4, seed=7) * 0.9)


def test_sharpened_codes_are_those_of_a_steeper_tanh() -> None:
    logits = torch.linspace(-4, 4, 41)
    for alpha in (1.0, math.sqrt(2), math.sqrt(80)):
        torch.testing.assert_close(sharpened(torch.tanh(logits), alpha), torch.tanh(alpha * logits), atol=1e-4, rtol=0)
    extreme = torch.tensor([1.0, -1.0], requires_grad=True)
    sharp = sharpened(extreme, 3.0)
    sharp.sum().backward()
    assert sharp.tolist() == [1.0, -1.0]
    assert extreme.grad is not None
    assert bool(torch.isfinite(extreme.grad).all())


def module_of(pairs: Pairs, rows: list[int]) -> tuple[DJSRHModule, Tensor]:
    torch.manual_seed(0)
    image = Encoder(SmallCNN(image_size=32, width=32), HashHead(32, BITS))
    network = HashingNetwork(image, Encoder(TextMLP(16, width=32), HashHead(32, BITS)), BITS)
    batch = pairs.batch(rows)
    features = uniform(len(rows), 5, seed=8).abs().float()
    part = TrainPart(batch.ids, batch.labels, batch.texts, features)
    module = DJSRHModule(network, part, Schedule(1e-3, 1e-3, 4), OPTIONS)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    return module, features


@pytest.mark.parametrize("epoch", [0, 3])
def test_a_step_compares_features_and_words_of_the_items_of_the_batch(
    toy_pairs: Pairs, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    known, rows = [31, 4, 17, 2, 40, 8], [40, 31, 2]
    module, features = module_of(toy_pairs, known)
    monkeypatch.setattr(DJSRHModule, "current_epoch", epoch)
    batch = toy_pairs.batch(rows)
    found = module.training_step(batch, 0).detach()
    own = {row: features[place] for place, row in enumerate(known)}
    images = [[2 * cosine(own[a], own[b]) - 1 for b in rows] for a in rows]
    words = [torch.from_numpy(toy_pairs.texts[row].astype(np.float32)) for row in rows]
    texts = [[2 * cosine(a, b) - 1 for b in words] for a in words]
    wanted = [[1.5 * value for value in line] for line in naive_joint(images, texts, 0.9, 0.4)]
    hashed = [
        torch.tanh(math.sqrt(epoch + 1) * torch.atanh(part.detach()))
        for part in module.network(batch.images, batch.texts)
    ]
    assert float(found) == pytest.approx(naive_loss(hashed[0], hashed[1], wanted, 0.1), rel=1e-4)


def test_entries_of_both_signs_use_the_whole_range_already(toy_pairs: Pairs) -> None:
    batch = toy_pairs.batch([3, 9])
    module, _ = module_of(toy_pairs, [3, 9])
    features = torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    part = TrainPart(batch.ids, batch.labels, batch.texts, features)
    other = DJSRHModule(module.network, part, module.schedule, OPTIONS)
    torch.testing.assert_close(other.similarities(torch.tensor([0, 1]))[0], torch.eye(2))


def test_it_needs_features(toy_pairs: Pairs) -> None:
    module, _ = module_of(toy_pairs, [3, 9])
    batch = toy_pairs.batch([3, 9])
    part = TrainPart(batch.ids, batch.labels, batch.texts, torch.empty(2, 0))
    with pytest.raises(ValueError, match="DJSRHModule compares images by features, got none"):
        DJSRHModule(module.network, part, module.schedule, OPTIONS)


def test_what_follows_from_the_data_lies_in_no_checkpoint(toy_pairs: Pairs) -> None:
    module, _ = module_of(toy_pairs, [3, 9])
    assert {name for name in module.state_dict() if not name.startswith("network.")} == {"rows"}


def test_it_learns_without_labels(compose_toy: Callable[..., RunConfig], toy_pairs: Pairs) -> None:
    # to a backbone from scratch all images look alike: here the words have to tell
    report = learned(compose_toy, toy_pairs, "djsrh", "target.method.beta=0.2")
    assert min(report["validation_map"].values()) > report["chance_map"] + 0.25


def test_labels_change_nothing(compose_toy: Callable[..., RunConfig], toy_pairs: Pairs) -> None:
    shuffled = np.random.default_rng(1).permutation(toy_pairs.labels)
    found = [weights_and_report(compose_toy, toy_pairs, labels, "djsrh") for labels in (toy_pairs.labels, shuffled)]
    (weights, report), (other, other_report) = found
    assert all(torch.equal(weights[name], other[name]) for name in weights)
    assert report["validation_map"] != other_report["validation_map"]
    assert report["kept_epoch"] == other_report["kept_epoch"] == 1  # the last one of two


def test_the_last_epoch_is_kept_whatever_its_map(
    compose_toy: Callable[..., RunConfig], toy_pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots: list[dict[str, Tensor]] = []

    def graded(self: DJSRHModule) -> None:
        self._collected = [[], []]
        snapshots.append({name: value.clone() for name, value in self.network.state_dict().items()})
        self.log("target/map", [0.2, 0.9, 0.4][self.current_epoch])

    monkeypatch.setattr(DJSRHModule, "on_validation_epoch_end", graded)
    artifact = train(compose_toy, toy_pairs, "graded", "target=djsrh", "target.epochs=3")
    kept = load_tensors(artifact.path / "network.safetensors")
    assert all(torch.equal(value, snapshots[2][name]) for name, value in kept.items())
    assert not all(torch.equal(value, snapshots[1][name]) for name, value in kept.items())


def test_a_killed_training_ends_with_bit_equal_weights(
    compose_toy: Callable[..., RunConfig], toy_pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of what depends on the number of the epoch, and of what no checkpoint holds."""
    overrides = ("target=djsrh", "target.epochs=3")
    whole = train(compose_toy, toy_pairs, "whole", *overrides)
    original = DJSRHModule.training_step

    def dying(self: DJSRHModule, batch: PairBatch, batch_index: int) -> Tensor:
        if (self.current_epoch, batch_index) == (1, 1):
            raise RuntimeError("killed")
        return original(self, batch, batch_index)

    with monkeypatch.context() as patch:
        patch.setattr(DJSRHModule, "training_step", dying)
        with pytest.raises(RuntimeError, match="killed"):
            train(compose_toy, toy_pairs, "killed", *overrides)
    resumed = train(compose_toy, toy_pairs, "killed", *overrides)
    expected, found = (load_tensors(part.path / "network.safetensors") for part in (whole, resumed))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
