import math
from itertools import product

import pytest
import torch
from torch import Tensor

from aach_lightning.config.method import CPAHConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.errors import ConfigError
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.networks.refined_linear import RefinedLinear
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo.cpah import CPAHModule, consistency_classification, cpah_loss

BITS, WIDTH, ROWS = 8, 16, [31, 4, 17, 2, 40, 8]


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def published(
    images: Tensor, texts: Tensor, similarity: Tensor, codes: Tensor, classification: float, alpha: float, beta: float
) -> float:
    """The objective pair by pair and entry by entry."""
    count, total = len(images), 0.0
    for i, j in product(range(count), repeat=2):
        theta = sum(a * b for a, b in zip(images[i].tolist(), texts[j].tolist(), strict=True)) / 2
        total -= float(similarity[i, j]) * theta - math.log(1 + math.exp(theta))
    for half in (images, texts):
        pairs = zip(half.flatten().tolist(), codes.flatten().tolist(), strict=True)
        total += beta * sum((a - b) ** 2 for a, b in pairs)
    return (total + alpha * count * classification) / count**2


def test_the_objective_pair_by_pair() -> None:
    images, texts = uniform(4, 6, seed=0), uniform(4, 6, seed=1)
    similarity, codes = (uniform(4, 4, seed=2) > 0).double(), torch.where(uniform(4, 6, seed=3) > 0, 1.0, -1.0)
    found = cpah_loss(images, texts, similarity, codes, torch.tensor(2.5), 0.3, 0.7)
    assert float(found) == pytest.approx(published(images, texts, similarity, codes, 2.5, 0.3, 0.7), rel=1e-9)


def test_its_gradients_equal_finite_differences() -> None:
    inputs = [uniform(3, 4, seed=4).requires_grad_(), uniform(3, 4, seed=5).requires_grad_()]
    similarity, codes = (uniform(3, 3, seed=6) > 0).double(), torch.where(uniform(3, 4, seed=7) > 0, 1.0, -1.0)
    classification = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda a, b, c: cpah_loss(a, b, similarity, codes, c, 0.3, 0.7), [*inputs, classification]
    )


def test_kinds_of_features_by_hand() -> None:
    # one pair: softmax of (log 2, 0, 0) is (1/2, 1/4, 1/4)
    rows = torch.eye(3) * math.log(2)
    found = consistency_classification(rows[:1], rows[[1, 0]], rows[2:])
    assert float(found) == pytest.approx(3 * math.log(2) + math.log(4))
    blind = consistency_classification(torch.zeros(5, 3), torch.zeros(10, 3), torch.zeros(5, 3))
    assert float(blind) == pytest.approx(4 * math.log(3))
    logits = [uniform(count, 3, seed=count).requires_grad_() for count in (2, 4, 2)]
    assert torch.autograd.gradcheck(consistency_classification, logits)


def network(refined: bool = True) -> HashingNetwork:
    torch.manual_seed(0)
    heads = [HashHead(32, BITS, hidden=WIDTH, refined=refined) for _ in range(2)]
    return HashingNetwork(
        Encoder(SmallCNN(image_size=32, width=32), heads[0]), Encoder(TextMLP(16, width=32), heads[1]), BITS
    )


def built(pairs: Pairs, hashing: HashingNetwork) -> CPAHModule:
    batch = pairs.batch(ROWS)
    train = TrainPart(batch.ids, batch.labels, batch.texts, torch.empty(6, 0))
    options = CPAHConfig(alpha=0.4, beta=0.9, adversarial=7.0, penalty=0.0, auxiliary_lr=3e-3)
    return CPAHModule(hashing, train, Schedule(1e-3, 2e-3, 4), options)


@pytest.fixture
def module(toy_pairs: Pairs) -> CPAHModule:
    return built(toy_pairs, network())


def test_heads_that_hash_everything_are_refused(toy_pairs: Pairs) -> None:
    with pytest.raises(ConfigError, match=r"set target\.image_net\.refined and target\.text_net\.refined"):
        built(toy_pairs, network(refined=False))


def test_a_step_is_pairs_quantisation_three_classifiers_and_a_discriminator(
    module: CPAHModule, toy_pairs: Pairs
) -> None:
    batch = toy_pairs.batch([40, 31, 2])
    loss = module.batch_loss(batch).item()
    with torch.no_grad():
        commons, privates, codes = [], [], []
        for half, inputs in ((module.network.image, batch.images), (module.network.text, batch.texts)):
            assert isinstance(half, Encoder)
            layers = list(half.head)  # norm, dropout (0), linear, ReLU, dropout (0), refined, tanh
            features = layers[3](layers[2](layers[0](half.backbone(inputs))))
            mask = 1 / (1 + torch.exp(-layers[5].mask(features)))
            commons.append(features * mask)
            privates.append(features * (1 - mask))
            codes.append(torch.tanh(layers[5].hash(commons[-1])))
        classification = 0.0
        for kind, part in ((0, privates[0]), (1, commons[0]), (1, commons[1]), (2, privates[1])):
            for row in module.kind_classifier(part):
                classification -= math.log(float(row[kind].exp() / row.exp().sum())) / 3
        for classify, part in zip(module.label_classifiers, commons, strict=True):
            chances = 1 / (1 + torch.exp(-classify(part)))
            for p, wanted in zip(chances.flatten().tolist(), batch.labels.flatten().tolist(), strict=True):
                classification -= math.log(p if wanted else 1 - p) / 3
        similarity = torch.tensor([[float((a * b).any()) for b in batch.labels] for a in batch.labels])
        signs = torch.where(codes[0] + codes[1] >= 0, 1.0, -1.0)
        expected = published(codes[0], codes[1], similarity, signs, classification, 0.4, 0.9)
        for part, sign in zip(commons, (1, -1), strict=True):  # images are to be called 1
            logits = module.discriminator(part).flatten().tolist()
            expected += sum(math.log(1 + math.exp(-sign * logit)) for logit in logits) / 3
    assert loss == pytest.approx(expected, rel=1e-4)


def test_texts_mislead_the_discriminator_and_images_do_not(module: CPAHModule, toy_pairs: Pairs) -> None:
    module.options.alpha = module.options.beta = 0.0
    batch = toy_pairs.batch([40, 31, 2])
    layers = [half.head[2].weight for half in (module.network.image, module.network.text)]  # type: ignore[operator, index, union-attr]
    found = []
    for strength in (0.0, 7.0, -7.0):
        module.zero_grad()
        module.options.adversarial = strength
        module.batch_loss(batch).backward()
        assert module.discriminator[0].weight.grad is not None
        found.append([layer.grad.clone() for layer in layers])
    plain, misled, helped = found
    torch.testing.assert_close(plain[0], misled[0])
    assert not torch.allclose(plain[1], misled[1])
    torch.testing.assert_close(misled[1] - plain[1], plain[1] - helped[1], rtol=1e-3, atol=1e-5)


def test_the_penalty_is_that_of_the_discriminator(module: CPAHModule, toy_pairs: Pairs) -> None:
    batch = toy_pairs.batch([40, 31, 2])
    plain = module.batch_loss(batch).item()
    module.options.penalty = 2.0
    with torch.no_grad():
        module.discriminator[0].weight.zero_()  # a constant one: its gradient has no length
    flat = module.batch_loss(batch).item()
    module.options.penalty = 0.0
    assert flat - module.batch_loss(batch).item() == pytest.approx(2.0, abs=1e-4)
    assert plain > 0


def test_what_a_checkpoint_keeps(module: CPAHModule) -> None:
    assert {name for name, _ in module.named_buffers() if not name.startswith("network.")} == {"rows"}
    layers = [m for m in module.network.modules() if isinstance(m, RefinedLinear)]
    assert len(layers) == 2
