from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aach_lightning.attacks.items import Bank, Items
from aach_lightning.attacks.objectives.triplet import ExchangedTriplet
from aach_lightning.attacks.source import Task
from aach_lightning.attacks.universal import KnownItems, UniversalLearner, UniversalModule
from aach_lightning.config.choices import TripletForm
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.dataset import PairDataset, ShuffledPairs
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork, binary_codes
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP
from aach_lightning.perturbations.diversity import InputDiversity
from aach_lightning.perturbations.space import Space
from aach_lightning.runtime.trainer import ReseedEachEpoch, checkpoint_callbacks, fit, make_trainer

BITS, QUERIED = 12, np.array([*range(30, 60)])
MODALITIES: list[Modality] = [Modality.image, Modality.text]


@pytest.fixture
def source() -> HashingNetwork:
    """With batch norm in the text half, whose statistics would drift in training mode."""
    torch.manual_seed(0)
    image = Encoder(SmallCNN(image_size=32, width=32), HashHead(32, BITS, dropout=0.3))
    head = nn.Sequential(nn.BatchNorm1d(32), HashHead(32, BITS, dropout=0.3))
    network = HashingNetwork(image, Encoder(TextMLP(16, width=32), head), BITS).eval()
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def build(source: HashingNetwork, pairs: Pairs, modality: Modality, **changed: Any) -> UniversalModule:
    queried = pairs.batch(QUERIED)
    with torch.no_grad():
        images, texts = source(queried.images, queried.texts)
    own, other = (images, texts) if modality == "image" else (texts, images)
    epsilon = 8 / 255 if modality == "image" else 0.3
    settings = {"space": Space(epsilon, "linf", 0.0, 1.0), "lr": 0.1 * epsilon, "epochs": 4, "diversity": None}
    objective = ExchangedTriplet(TripletForm.hinge, 1.0, 0.1, 0.1, 0.0)
    task = Task(source, Bank(other, binary_codes(other)), objective, modality)
    learner: Any = UniversalLearner(**(settings | changed))  # type: ignore[arg-type]
    start = torch.zeros_like(modality.of(queried)[:1])
    return UniversalModule(task, learner, KnownItems(QUERIED, own), start, None, "attack")


def learn(module: UniversalModule, pairs: Pairs, config: RunConfig, folder: Path, batch_size: int = 8) -> Tensor:
    callbacks = [*checkpoint_callbacks(folder, monitor=None), ReseedEachEpoch(0)]
    trainer = make_trainer(config.trainer, folder, "", module.learner.epochs, callbacks)
    fit(trainer, module, ShuffledPairs(PairDataset(pairs, QUERIED, shared=True), batch_size, seed=0), folder)
    return module.delta.detach().clone()


def objective(module: UniversalModule, pairs: Pairs, rows: np.ndarray[Any, Any], delta: Tensor) -> float:
    batch = pairs.batch(rows)
    clean = batch.images if module.task.modality == Modality.image else batch.texts
    with torch.no_grad():
        relaxed = module.task.hash(clean)
        loss = module.task.objective.bind(Items(relaxed, binary_codes(relaxed)), module.task.bank)
        return float(loss(module.task.hash((clean + delta).clamp(0, 1)), delta.expand_as(clean)).mean())


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_one_delta_in_the_ball_lowers_the_objective_of_items_it_has_not_seen(
    source: HashingNetwork, toy_pairs: Pairs, toy_config: RunConfig, tmp_path: Path, modality: Modality, norm: Any
) -> None:
    epsilon = {"linf": {Modality.image: 8 / 255, Modality.text: 0.3}, "l2": {Modality.image: 1.0, Modality.text: 0.5}}[
        norm
    ][modality]
    changed = {"space": Space(epsilon, norm, 0.0, 1.0), "lr": epsilon * (0.1 if norm == "linf" else 0.02)}
    module = build(source, toy_pairs, modality, **changed)
    delta = learn(module, toy_pairs, toy_config, tmp_path)
    size = float(delta.abs().max() if norm == "linf" else delta.norm())
    assert 0.5 * epsilon < size <= epsilon * (1 + 1e-6)
    for rows in (QUERIED, np.arange(30)):
        assert objective(module, toy_pairs, rows, delta) < objective(module, toy_pairs, rows, 0 * delta) - 0.02
    held = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert list(held["state_dict"]) == ["delta"]
    assert torch.equal(held["state_dict"]["delta"], delta)  # projected before it was kept


def test_it_is_adam_on_the_mean_over_mini_batches_when_written_out(
    source: HashingNetwork,
    toy_pairs: Pairs,
    toy_config: RunConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = build(source, toy_pairs, Modality.text, epochs=2)
    batches: list[list[int]] = []
    original = UniversalModule.training_step

    def watched(self: UniversalModule, batch: Any, batch_index: int) -> Tensor:
        batches.append(batch.ids.tolist())
        return original(self, batch, batch_index)

    monkeypatch.setattr(UniversalModule, "training_step", watched)
    found = learn(module, toy_pairs, toy_config, tmp_path)
    assert [len(batch) for batch in batches] == [8, 8, 8, 6] * 2
    for epoch in (batches[:4], batches[4:]):
        assert sorted(row for batch in epoch for row in batch) == QUERIED.tolist()
    assert batches[:4] != batches[4:]
    delta, mean, square = torch.zeros(1, 16), torch.zeros(1, 16), torch.zeros(1, 16)
    for step, rows in enumerate(batches, start=1):
        texts = toy_pairs.batch(rows).texts
        own = binary_codes(source.hash_texts(texts))
        point = delta.clone().requires_grad_()
        hashed = source.hash_texts((texts + point).clamp(0, 1))
        losses = []
        for item in range(len(rows)):
            near = sorted(range(30), key=lambda row: int((module.task.bank.ranking[row] != own[item]).sum()))
            distances = (BITS - module.task.bank.other @ hashed[item]) / 2
            pairs = [(p, n) for p in near[:3] for n in near[-3:]]
            losses.append(torch.stack([(BITS + distances[n] - distances[p]).clamp(min=0) for p, n in pairs]).mean())
        (gradient,) = torch.autograd.grad(torch.stack(losses).mean(), point)
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        moved = (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
        delta = (delta - 0.03 * moved).clamp(-0.3, 0.3)
    torch.testing.assert_close(found, delta, atol=2e-5, rtol=0)


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_source_stays_as_it_is_and_out_of_the_checkpoint(
    source: HashingNetwork, toy_pairs: Pairs, toy_config: RunConfig, tmp_path: Path, modality: Modality
) -> None:
    before = {name: value.clone() for name, value in source.state_dict().items()}
    module = build(source, toy_pairs, modality)
    learn(module, toy_pairs, toy_config, tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in source.state_dict().items())
    assert not any(part.training for part in source.modules())
    assert [name for name, _ in module.named_parameters()] == ["delta"]


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_killed_run_goes_on_to_the_same_bits(
    source: HashingNetwork,
    toy_pairs: Pairs,
    toy_config: RunConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    modality: Modality,
) -> None:
    diversity = {"diversity": InputDiversity(0.8, 0.6, seed=3)} if modality == Modality.image else {}
    whole = learn(build(source, toy_pairs, modality, **diversity), toy_pairs, toy_config, tmp_path / "whole")
    killed = build(source, toy_pairs, modality, **diversity)
    original, steps = UniversalModule.training_step, []

    def dying(self: UniversalModule, batch: Any, batch_index: int) -> Tensor:
        steps.append(batch_index)
        if len(steps) == 11:
            raise RuntimeError("killed")
        return original(self, batch, batch_index)

    with monkeypatch.context() as patched:
        patched.setattr(UniversalModule, "training_step", dying)
        with pytest.raises(RuntimeError, match="killed"):
            learn(killed, toy_pairs, toy_config, tmp_path / "killed")
    torch.manual_seed(77)
    again = build(source, toy_pairs, modality, **diversity)
    assert torch.equal(learn(again, toy_pairs, toy_config, tmp_path / "killed"), whole)
    plain = learn(build(source, toy_pairs, modality), toy_pairs, toy_config, tmp_path / "plain")
    assert torch.equal(plain, whole) == (modality == Modality.text)


def test_only_the_attacked_modality_is_read(
    source: HashingNetwork, toy_pairs: Pairs, toy_config: RunConfig, tmp_path: Path
) -> None:
    blind = replace(toy_pairs, texts=np.full((60, 16), np.nan, np.float32))
    seen = learn(build(source, toy_pairs, Modality.image), toy_pairs, toy_config, tmp_path / "seen")
    assert torch.equal(learn(build(source, toy_pairs, Modality.image), blind, toy_config, tmp_path / "blind"), seen)
