import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from aach_lightning.config.method import DCMHConfig
from aach_lightning.data.pairs import PairBatch, Pairs
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP
from aach_lightning.targets.dcmh import DCMHModule, dcmh_loss
from aach_lightning.targets.method import Schedule, TrainPart, rarer_sign

BITS = 8


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def draw(batch: int, items: int, bits: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """F of the batch, G of all items, S, B, and F of the items outside the batch."""
    similarity = (uniform(batch, items, seed=seed) > 0).double()
    codes = torch.where(uniform(batch, bits, seed=seed + 1) > 0, 1.0, -1.0).double()
    outside = uniform(items - batch, bits, seed=seed + 2)
    return (
        uniform(batch, bits, seed=seed + 3) * 3,
        uniform(items, bits, seed=seed + 4) * 3,
        similarity,
        codes,
        outside,
    )


def published(relaxed: Tensor, memory: Tensor, similarity: Tensor, codes: Tensor, outside: Tensor) -> tuple[float, ...]:
    """Negative log likelihood, quantisation and balance of the paper's objective, entry by entry."""
    likelihood = 0.0
    for i, row in enumerate(relaxed.tolist()):
        for j, other in enumerate(memory.tolist()):
            theta = sum(a * b for a, b in zip(row, other, strict=True)) / 2
            similar = float(similarity[i, j])
            probability = 1 / (1 + math.exp(-theta))
            likelihood -= similar * math.log(probability) + (1 - similar) * math.log(1 - probability)
    quantisation = sum(
        (b - f) ** 2
        for codes_row, row in zip(codes.tolist(), relaxed.tolist(), strict=True)
        for b, f in zip(codes_row, row, strict=True)
    )
    everyone = relaxed.tolist() + outside.tolist()
    balance = sum(sum(row[bit] for row in everyone) ** 2 for bit in range(relaxed.shape[1]))
    return likelihood, quantisation, balance


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(0, 4), st.integers(1, 6), st.floats(0, 3), st.floats(0, 3), st.integers(0, 10**6))
def test_the_loss_is_the_published_objective_per_entry(
    batch: int, more: int, bits: int, gamma: float, eta: float, seed: int
) -> None:
    relaxed, memory, similarity, codes, outside = draw(batch, batch + more, bits, seed)
    likelihood, quantisation, balance = published(relaxed, memory, similarity, codes, outside)
    found = dcmh_loss(relaxed, memory, similarity, codes, outside.sum(dim=0), gamma, eta)
    expected = (likelihood + gamma * quantisation + eta * balance) / (batch * (batch + more))
    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_its_gradient_equals_finite_differences() -> None:
    relaxed, memory, similarity, codes, outside = draw(3, 5, 4, seed=0)
    rest = outside.sum(dim=0)
    relaxed.requires_grad_()
    (found,) = torch.autograd.grad(dcmh_loss(relaxed, memory, similarity, codes, rest, 0.7, 0.2), relaxed)
    step = 1e-6
    for place in np.ndindex(3, 4):
        shift = torch.zeros(3, 4, dtype=torch.float64)
        shift[place] = step
        up, down = (
            dcmh_loss(relaxed.detach() + sign * shift, memory, similarity, codes, rest, 0.7, 0.2) for sign in (1, -1)
        )
        assert found[place].item() == pytest.approx(float(up - down) / (2 * step), abs=1e-7)


def test_rarer_sign() -> None:
    assert rarer_sign(torch.ones(5, 3, dtype=torch.int8)) == 0
    assert rarer_sign(torch.tensor([[1, -1], [-1, 1]], dtype=torch.int8)) == 0.5
    # bit 0: one of four, bit 1: two of four
    assert rarer_sign(torch.tensor([[1, 1], [-1, 1], [-1, -1], [-1, -1]], dtype=torch.int8)) == 0.375


@pytest.fixture
def network() -> HashingNetwork:
    torch.manual_seed(0)
    image = Encoder(SmallCNN(image_size=32, width=32), HashHead(32, BITS))
    return HashingNetwork(image, Encoder(TextMLP(16, width=32), HashHead(32, BITS)), BITS)


def wrap(network: HashingNetwork, pairs: Pairs, rows: list[int]) -> DCMHModule:
    batch = pairs.batch(rows)
    train = TrainPart(batch.ids, batch.labels, batch.texts, torch.empty(len(rows), 0))
    return DCMHModule(network, train, Schedule(1e-3, 2e-3, 4), DCMHConfig(gamma=0.7, eta=0.2))


def test_a_step_is_both_modalities_against_the_memory_of_the_other(network: HashingNetwork, toy_pairs: Pairs) -> None:
    train, first, second = [31, 4, 17, 2, 40, 8], [17, 4], [40, 31, 2]
    module = wrap(network, toy_pairs, train)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    module.training_step(toy_pairs.batch(first), 0)
    seen = {
        row: [part[place].detach() for part in hashed(network, toy_pairs.batch(first))]
        for place, row in enumerate(first)
    }
    batch = toy_pairs.batch(second)
    loss = module.training_step(batch, 1).item()
    images, texts = (part.detach() for part in hashed(network, batch))
    seen |= {row: [images[place], texts[place]] for place, row in enumerate(second)}
    nothing = torch.zeros(BITS)
    image_memory = torch.stack([seen[row][0] if row in seen else nothing for row in train])
    text_memory = torch.stack([seen[row][1] if row in seen else nothing for row in train])
    similarity = torch.tensor(
        [[float((toy_pairs.labels[a] * toy_pairs.labels[b]).any()) for b in train] for a in second]
    )
    codes = torch.where(images + texts >= 0, 1.0, -1.0)
    outside = [place for place, row in enumerate(train) if row not in second]
    expected = 0.0
    for own, own_memory, other_memory in ((images, image_memory, text_memory), (texts, text_memory, image_memory)):
        parts = published(own, other_memory, similarity, codes, own_memory[outside])
        expected += (parts[0] + 0.7 * parts[1] + 0.2 * parts[2]) / (len(second) * len(train))
    assert loss == pytest.approx(expected, rel=1e-5)


def hashed(network: HashingNetwork, batch: PairBatch) -> tuple[Tensor, Tensor]:
    images, texts = network(batch.images, batch.texts)
    return images, texts


def test_memories_are_buffers_that_a_checkpoint_keeps(network: HashingNetwork, toy_pairs: Pairs) -> None:
    module = wrap(network, toy_pairs, [31, 4, 17, 2])
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    names = {name for name, _ in module.named_buffers() if not name.startswith("network.")}
    assert names == {"rows", "labels", "image_memory", "text_memory"}
    assert not bool(module.image_memory.any())
    module.training_step(toy_pairs.batch([17, 31]), 0)
    images, texts = hashed(network, toy_pairs.batch([17, 31]))
    by_row = dict(zip(module.rows.tolist(), zip(module.image_memory, module.text_memory, strict=True), strict=True))
    for place, row in enumerate((17, 31)):
        torch.testing.assert_close(by_row[row][0], images[place].detach())
        torch.testing.assert_close(by_row[row][1], texts[place].detach())
    assert not bool(torch.stack([*by_row[4], *by_row[2]]).any())
    labels = {row: toy_pairs.labels[row].tolist() for row in (31, 4, 17, 2)}
    assert dict(zip(module.rows.tolist(), module.labels.long().tolist(), strict=True)) == labels
    again = wrap(network, toy_pairs, [31, 4, 17, 2])
    again.load_state_dict(module.state_dict())
    assert torch.equal(again.text_memory, module.text_memory)


def test_each_modality_has_its_own_learning_rate(network: HashingNetwork, toy_pairs: Pairs) -> None:
    optimizer = wrap(network, toy_pairs, [1, 2]).configure_optimizers()["optimizer"]  # type: ignore[index]
    images, texts = optimizer.param_groups
    assert (images["lr"], texts["lr"]) == (1e-3, 2e-3)
    assert [id(p) for p in images["params"]] == [id(p) for p in network.image.parameters()]
    assert [id(p) for p in texts["params"]] == [id(p) for p in network.text.parameters()]
