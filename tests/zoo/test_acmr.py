import math

import pytest
import torch
from torch import Tensor

from aach_lightning.config.method import ACMRConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo.acmr import ACMRModule, reversal_strength, triplet_constraints
from aach_lightning.zoo.auxiliary import label_prediction

BITS = 8


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def naive_triplets(
    anchors: list[list[float]], others: list[list[float]], similar: list[list[bool]], negatives: float, margin: float
) -> float:
    """Mean over anchors of the mean over all their triplets, one after the other."""
    values = []
    for anchor, row in zip(anchors, similar, strict=True):
        distances = [math.dist(anchor, other) / math.sqrt(len(anchor)) for other in others]
        near = [d for d, same in zip(distances, row, strict=True) if same]
        far = [d for d, same in zip(distances, row, strict=True) if not same]
        triplets = [positive + negatives * max(0.0, margin - negative) for positive in near for negative in far]
        values.append(sum(triplets) / len(triplets))
    return sum(values) / len(values)


def naive_prediction(logits: list[Tensor], labels: Tensor) -> float:
    total = 0.0
    for half in logits:
        for value, wanted in zip(half.flatten().tolist(), labels.flatten().tolist(), strict=True):
            p = 1 / (1 + math.exp(-value))
            total -= math.log(p if wanted else 1 - p)
    return total / len(labels)


def test_triplets_one_after_the_other() -> None:
    anchors, others = uniform(4, 6, seed=0), uniform(5, 6, seed=1)
    similarity = torch.tensor([[1, 0, 0, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 1], [1, 1, 0, 1, 1]])
    for margin in (0.7, 1.5):
        found = triplet_constraints(anchors, others, similarity.double(), 0.6, margin)
        expected = naive_triplets(anchors.tolist(), others.tolist(), similarity.bool().tolist(), 0.6, margin)
        assert float(found) == pytest.approx(expected, rel=1e-9)


def test_gradients_equal_finite_differences() -> None:
    anchors, others = uniform(3, 5, seed=2).requires_grad_(), uniform(4, 5, seed=3).requires_grad_()
    similarity = (uniform(3, 4, seed=4) > 0).double()
    assert torch.autograd.gradcheck(lambda a, b: triplet_constraints(a, b, similarity, 0.6, 1.0), (anchors, others))


def test_missing_parts_and_equal_items_are_finite() -> None:
    codes = torch.ones(2, 4, requires_grad=True)
    loss = triplet_constraints(codes, codes.detach(), torch.ones(2, 2), 1.0, 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert codes.grad is not None
    assert bool(torch.isfinite(codes.grad).all())
    assert triplet_constraints(codes, codes.detach(), torch.zeros(2, 2), 0.5, 1.2).item() == pytest.approx(
        0.6, abs=1e-5
    )


def test_label_prediction_entry_by_entry() -> None:
    logits, labels = [uniform(3, 4, seed=5) * 3, uniform(3, 4, seed=6) * 3], (uniform(3, 4, seed=7) > 0).double()
    assert float(label_prediction(*logits, labels)) == pytest.approx(naive_prediction(logits, labels), rel=1e-9)


def test_the_strength_grows_from_0_to_1() -> None:
    assert reversal_strength(0.0) == 0
    assert reversal_strength(0.2) == pytest.approx(math.tanh(1.0))
    assert 0.999 < reversal_strength(1.0) < 1


@pytest.fixture
def module(toy_pairs: Pairs) -> ACMRModule:
    torch.manual_seed(0)
    image = Encoder(SmallCNN(image_size=32, width=32), HashHead(32, BITS))
    network = HashingNetwork(image, Encoder(TextMLP(16, width=32), HashHead(32, BITS)), BITS)
    batch = toy_pairs.batch([31, 4, 17, 2, 40, 8])
    train = TrainPart(batch.ids, batch.labels, batch.texts, torch.empty(6, 0))
    options = ACMRConfig(alpha=1.2, beta=0.8, negatives=0.6, margin=1.3, adversarial=0.5, auxiliary_lr=3e-3)
    return ACMRModule(network, train, Schedule(1e-3, 2e-3, 10), options)


def test_a_step_is_labels_triplets_of_both_modalities_and_the_classifier(module: ACMRModule, toy_pairs: Pairs) -> None:
    batch = toy_pairs.batch([31, 4, 17, 2])
    loss = module.batch_loss(batch).item()
    with torch.no_grad():
        halves = list(module.network(batch.images, batch.texts))
        expected = 0.8 * naive_prediction([module.label_classifier(half) for half in halves], batch.labels)
        similar = [[bool((a * b).any()) for b in batch.labels] for a in batch.labels]
        for own, other in (halves, halves[::-1]):
            expected += 1.2 * naive_triplets(own.tolist(), other.tolist(), similar, 0.6, 1.3)
        for half, sign in zip(halves, (1, -1), strict=True):  # images are to be called 1
            logits = module.modality_classifier(half).flatten().tolist()
            expected += sum(math.log(1 + math.exp(-sign * logit)) for logit in logits) / 4
    assert loss == pytest.approx(expected, rel=1e-4)


def test_the_halves_mislead_the_classifier_more_and_more(
    module: ACMRModule, toy_pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    module.options.alpha = module.options.beta = 0.0
    batch = toy_pairs.batch([31, 4, 17, 2])
    found = []
    for epoch in (0, 2, 9):
        monkeypatch.setattr(ACMRModule, "current_epoch", epoch)
        module.zero_grad()
        module.batch_loss(batch).backward()
        gradients = [layer.weight.grad for layer in (module.network.text.head[2], module.modality_classifier[0])]  # type: ignore[operator, index, union-attr]
        found.append([gradient.clone() for gradient in gradients])
    assert not bool(found[0][0].any())
    assert bool(found[0][1].any())
    ratio = reversal_strength(0.9) / reversal_strength(0.2)
    torch.testing.assert_close(found[2][0], found[1][0] * ratio)
    torch.testing.assert_close(found[2][1], found[1][1])
