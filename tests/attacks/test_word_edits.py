from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aach_lightning.attacks.items import AttackBatch, Bank, ItemCodes, Items
from aach_lightning.attacks.module import AttackModule
from aach_lightning.attacks.objectives.target_code import TargetCode
from aach_lightning.attacks.objectives.triplet import ExchangedTriplet
from aach_lightning.attacks.source import Task
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork, binary_codes
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP
from aach_lightning.perturbations.edits import WordEdits

BITS, QUERIED, ROWS = 12, list(range(30, 60)), [0, 7, 12, 21]


@pytest.fixture
def source() -> HashingNetwork:
    """With batch norm in the text half, whose statistics would drift in training mode."""
    torch.manual_seed(0)
    image = Encoder(SmallCNN(image_size=32, width=32), HashHead(32, BITS, dropout=0.3))
    head = nn.Sequential(nn.BatchNorm1d(32), HashHead(32, BITS, dropout=0.3))
    return HashingNetwork(image, Encoder(TextMLP(16, width=32), head), BITS).eval()


def build(source: HashingNetwork, pairs: Pairs, objective: Any = None) -> AttackModule:
    with torch.no_grad():
        relaxed = source.hash_images(pairs.batch(QUERIED).images)
    objective = objective or ExchangedTriplet("hinge", 1.0, 0.1, 0.1, 0.0)
    task = Task(source, Bank(relaxed, binary_codes(relaxed)), objective, Modality.text)
    return AttackModule(task, WordEdits(3, 5, removable=True))


def test_it_edits_by_its_objective_and_the_texts_stay_texts(source: HashingNetwork, toy_pairs: Pairs) -> None:
    module = build(source, toy_pairs).train()
    before = {name: value.clone() for name, value in source.state_dict().items()}
    batch = toy_pairs.batch(ROWS)
    delta = module.predict_step(AttackBatch(batch), 0)
    assert delta.dtype == torch.float32
    assert set((batch.texts + delta).unique().tolist()) <= {0.0, 1.0}
    counts = delta.abs().sum(dim=1)
    assert 1 <= int(counts.min()) <= int(counts.max()) <= 3
    own = source.hash_texts(batch.texts)
    loss = module.task.objective.bind(Items(own, binary_codes(own)), module.task.bank)
    assert bool((loss(source.hash_texts(batch.texts + delta), delta) < loss(own, 0 * delta)).all())
    assert torch.equal(WordEdits(3, 5, True)(source.hash_texts, loss, batch.texts, batch.ids)[0], delta)
    assert all(torch.equal(value, before[name]) for name, value in source.state_dict().items())
    assert not any(part.training for part in source.modules())
    blind = replace(batch, images=torch.full_like(batch.images, float("nan")), labels=batch.labels[:0])
    assert torch.equal(module.predict_step(AttackBatch(blind), 0), delta)


def test_queried_anchors_and_goals_are_each_items_own(source: HashingNetwork, toy_pairs: Pairs) -> None:
    batch = toy_pairs.batch(ROWS)
    own = binary_codes(source.hash_texts(batch.texts))

    def delta(anchors: Tensor | None, goals: Tensor | None, **changed: Any) -> Tensor:
        return build(source, toy_pairs, **changed).predict_step(AttackBatch(batch, ItemCodes(anchors, goals)), 0)

    assert torch.equal(delta(own, None), delta(None, None))
    assert not torch.equal(delta(-own, None), delta(None, None))
    goals = own.clone()
    goals[1] *= -1
    found = delta(None, goals, objective=TargetCode())
    reached = source.hash_texts(batch.texts + found)
    assert bool(((reached * goals).sum(1) > (source.hash_texts(batch.texts) * goals).sum(1)).all())
    alone = build(source, toy_pairs, objective=TargetCode())
    pair = AttackBatch(toy_pairs.batch(ROWS[1:2]), ItemCodes(goals=goals[1:2]))
    assert torch.equal(alone.predict_step(pair, 0)[0], found[1])
