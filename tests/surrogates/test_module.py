import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aach_lightning.config.choices import Quantisation, TripletForm
from aach_lightning.config.schema import TrainerConfig
from aach_lightning.config.surrogate import AdversaryConfig, AugmentationConfig, SurrogateConfig
from aach_lightning.data.pairs import PairBatch
from aach_lightning.mining.triplets import Triplets
from aach_lightning.networks.ensemble import EnsembleNetwork
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork, binary_codes
from aach_lightning.runtime.trainer import make_trainer
from aach_lightning.surrogates.agreement import bit_agreement, distance_correlation, match_bits
from aach_lightning.surrogates.batch import TripletBatch
from aach_lightning.surrogates.datamodule import SurrogateDataModule
from aach_lightning.surrogates.losses import quantisation_loss, triplet_loss
from aach_lightning.surrogates.module import SurrogateModule

BITS = 12
GAP = ("mining=gap", "mining.gap=2")
RANK = ("mining=rank", "mining.nearest=0.2", "mining.farthest=0.5", "mining.per_anchor=2")
QUERIED, HELD_OUT = np.arange(100), np.arange(100, 240)


def build(flat: Any, frozen: bool = False) -> HashingNetwork:
    torch.manual_seed(0)
    return HashingNetwork(
        Encoder(flat(48), HashHead(48, BITS), frozen=frozen), Encoder(flat(10), HashHead(10, BITS)), BITS
    )


def wrap(
    network: HashingNetwork,
    augmentation: tuple[bool, float, float] = (False, 0.0, 0.0),
    adversary: tuple[float, int] = (0.0, 1),
    **changed: Any,
) -> SurrogateModule:
    settings: dict[str, Any] = {
        "loss": TripletForm.hinge,
        "margin": 0.25,  # 3 of 12 bits
        "triplet_weight": 1.0,
        "quantisation": Quantisation.code,
        "quantisation_weight": 1.0,
        "balance_weight": 0.0,
        "image_lr": 1e-2,
        "backbone_lr": 1e-2,
        "text_lr": 1e-2,
        "weight_decay": 1e-4,
        "epochs": 25,
        "augmentation": AugmentationConfig(*augmentation),
        "adversarial": AdversaryConfig(*adversary),
    }
    return SurrogateModule(network, SurrogateConfig(**(settings | changed)), seed=0)


def train(module: SurrogateModule, world: Any, mining: tuple[str, ...], folder: Path, epochs: int = 25) -> None:
    here = world.experiment(*mining, "surrogate.batch_size=25")
    data = SurrogateDataModule(here, world.door, QUERIED, folder)
    trainer = make_trainer(TrainerConfig("cpu", 1, 1, "32-true", True), folder, "surrogate", epochs)
    trainer.fit(module, datamodule=data)


@torch.no_grad()
def hashed(network: HashingNetwork, world: Any, rows: np.ndarray[Any, Any]) -> tuple[Tensor, Tensor]:
    batch = world.pairs.batch(rows)
    images, texts = network.eval()(batch.images, batch.texts)
    return binary_codes(images), binary_codes(texts)


def agreement(network: HashingNetwork, world: Any) -> tuple[float, float]:
    """Share of equal bits, matched on queried pairs and measured on the others; correlation of distances."""
    own, answered = hashed(network, world, QUERIED), world.door.codes(*_inputs(world, QUERIED))
    matching = match_bits(torch.cat(own), torch.cat(answered))
    images, texts = hashed(network, world, HELD_OUT)
    target_images, target_texts = world.door.codes(*_inputs(world, HELD_OUT))
    bits = bit_agreement(torch.cat([images, texts]), torch.cat([target_images, target_texts]), matching)
    return bits, distance_correlation(images, texts, target_images, target_texts)


def _inputs(world: Any, rows: np.ndarray[Any, Any]) -> tuple[Tensor, Tensor]:
    batch = world.pairs.batch(rows)
    return batch.images, batch.texts


@pytest.mark.parametrize(
    ("settings", "wanted_bits", "wanted_correlation"),
    [
        ({}, 0.82, 0.7),
        ({"loss": TripletForm.nll, "quantisation_weight": 0.1}, 0.74, 0.55),
        ({"quantisation": Quantisation.sign, "quantisation_weight": 0.1}, 0.74, 0.55),  # never told which bit is which
    ],
    ids=["hinge-code", "nll-code", "hinge-sign"],
)
def test_it_learns_to_answer_like_the_target(
    linear_world: Any,
    flat: Any,
    tmp_path: Path,
    settings: dict[str, Any],
    wanted_bits: float,
    wanted_correlation: float,
) -> None:
    network = build(flat)
    bits_before, correlation_before = agreement(network, linear_world)
    train(wrap(network, **settings), linear_world, GAP, tmp_path)
    bits, correlation = agreement(network, linear_world)
    assert linear_world.door.calls == [len(QUERIED)]
    assert bits > max(wanted_bits, bits_before + 0.1)
    assert correlation > max(wanted_correlation, correlation_before + 0.3)


def test_a_frozen_backbone_is_bit_equal_after_training(linear_world: Any, flat: Any, tmp_path: Path) -> None:
    network = build(flat, frozen=True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    # large decay: parameters in the optimizer would shrink even without a gradient
    module = wrap(network, weight_decay=0.1, augmentation=(True, 0.2, 8.0))
    train(module, linear_world, RANK, tmp_path, epochs=2)
    for name, value in network.state_dict().items():
        if name.startswith("image.backbone."):
            assert torch.equal(value, before[name]), name
    assert not torch.equal(network.state_dict()["image.head.2.weight"], before["image.head.2.weight"])
    assert not torch.equal(network.state_dict()["text.backbone.linear.weight"], before["text.backbone.linear.weight"])
    assert int(network.state_dict()["text.backbone.norm.num_batches_tracked"]) > 0


def test_a_fine_tuned_backbone_changes(linear_world: Any, flat: Any, tmp_path: Path) -> None:
    network = build(flat)
    before = network.state_dict()["image.backbone.linear.weight"].clone()
    train(wrap(network), linear_world, RANK, tmp_path, epochs=1)
    assert not torch.equal(network.state_dict()["image.backbone.linear.weight"], before)


def toy_batch() -> TripletBatch:
    generator = torch.Generator().manual_seed(0)
    pairs = PairBatch(
        torch.arange(4),
        torch.rand(4, 3, 4, 4, generator=generator),
        torch.rand(4, 10, generator=generator),
        torch.ones(4, 1, dtype=torch.uint8),
    )
    image_codes, text_codes = torch.randint(0, 2, (2, 4, BITS), generator=generator, dtype=torch.int8) * 2 - 1
    return TripletBatch(
        pairs,
        image_codes,
        text_codes,
        Triplets(torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([3, 0])),
        Triplets(torch.tensor([3]), torch.tensor([0]), torch.tensor([1])),
    )


def test_the_loss_is_both_directions_plus_both_quantisations(flat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = build(flat).eval(), toy_batch()
    module = wrap(network, triplet_weight=0.5, quantisation_weight=0.25).eval()
    logged: dict[str, Any] = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value}))
    loss = module.training_step(batch, 0).item()
    images, texts = network(batch.pairs.images, batch.pairs.texts)
    triplet = triplet_loss(images, texts, batch.image_anchored, 3.0, TripletForm.hinge)
    triplet = triplet + triplet_loss(texts, images, batch.text_anchored, 3.0, TripletForm.hinge)
    gap = quantisation_loss(images, batch.image_codes, Quantisation.code) + quantisation_loss(
        texts, batch.text_codes, Quantisation.code
    )
    assert triplet.item() > 0
    assert loss == pytest.approx((0.5 * triplet + 0.25 * gap).item(), rel=1e-6)
    assert logged["surrogate/triplets"] == 3


def test_every_batch_of_every_epoch_is_augmented_anew(flat: Any) -> None:
    network, batch = build(flat).eval(), toy_batch()
    seen: list[Tensor] = []
    network.image.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    module = wrap(network, augmentation=(True, 0.3, 8.0))
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    for epoch, number in ((0, 0), (0, 1), (1, 0), (0, 0)):
        module.trainer = SimpleNamespace(current_epoch=epoch)  # type: ignore[assignment]
        module.training_step(batch, number)
    assert torch.equal(seen[0], seen[3])
    assert all(not torch.equal(one, other) for one, other in itertools.combinations([batch.pairs.images, *seen[:3]], 2))


def test_each_part_has_its_own_learning_rate(flat: Any) -> None:
    rates = {"image_lr": 1.0, "backbone_lr": 2.0, "text_lr": 3.0}

    def rate_of(network: HashingNetwork) -> dict[str, float]:
        optimizer = wrap(network, **rates).configure_optimizers()["optimizer"]  # type: ignore[index]
        by_id = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        return {name: by_id[id(p)] for name, p in network.named_parameters() if id(p) in by_id}

    whole = rate_of(build(flat))
    assert {name for name, rate in whole.items() if rate == 2.0} == {
        name for name in whole if name.startswith("image.backbone.")
    }
    assert {name for name, rate in whole.items() if rate == 3.0} == {name for name in whole if name.startswith("text.")}
    assert set(whole) == {name for name, _ in build(flat).named_parameters()}
    frozen = rate_of(build(flat, frozen=True))
    assert {name for name in whole if name not in frozen} == {
        name for name in whole if name.startswith("image.backbone.")
    }
    on_features = rate_of(build(flat, frozen=True).on_features())
    assert sorted(on_features.values()) == sorted(frozen.values())


def pair_of_networks(flat: Any) -> list[HashingNetwork]:
    networks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        networks.append(
            HashingNetwork(Encoder(flat(48), HashHead(48, BITS)), Encoder(flat(10), HashHead(10, BITS)), BITS)
        )
    return networks


def test_members_of_an_ensemble_learn_as_each_would_alone(linear_world: Any, flat: Any, tmp_path: Path) -> None:
    alone, together = pair_of_networks(flat), pair_of_networks(flat)
    for number, network in enumerate(alone):
        train(wrap(network), linear_world, GAP, tmp_path / str(number), epochs=2)
    assert len(linear_world.door.calls) == 2
    train(wrap(EnsembleNetwork(together)), linear_world, GAP, tmp_path / "both", epochs=2)
    assert len(linear_world.door.calls) == 3  # one call for both members
    for single, member in zip(alone, together, strict=True):
        for name, value in single.state_dict().items():
            torch.testing.assert_close(member.state_dict()[name], value, atol=1e-5, rtol=1e-4)
    assert not torch.equal(
        together[0].state_dict()["image.head.2.weight"], together[1].state_dict()["image.head.2.weight"]
    )


def test_an_ensemble_answers_more_like_the_target_than_its_members(
    linear_world: Any, flat: Any, tmp_path: Path
) -> None:
    members = pair_of_networks(flat)
    ensemble = EnsembleNetwork(members)
    train(wrap(ensemble), linear_world, GAP, tmp_path)
    (bits, correlation), single = agreement(ensemble, linear_world), [agreement(m, linear_world) for m in members]
    assert bits > sum(entry[0] for entry in single) / 2
    assert correlation > sum(entry[1] for entry in single) / 2


def test_balance_is_a_part_of_the_loss(flat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = build(flat).eval(), toy_batch()
    losses = []
    for weight in (0.0, 2.0):
        module = wrap(network, balance_weight=weight).eval()
        monkeypatch.setattr(module, "log", lambda *_, **__: None)
        losses.append(module.training_step(batch, 0).item())
    with torch.no_grad():
        images, texts = network(batch.pairs.images, batch.pairs.texts)
    expected = sum(float(hashed.mean(dim=0).square().mean()) for hashed in (images, texts))
    assert losses[1] - losses[0] == pytest.approx(2 * expected, rel=1e-4)


@pytest.mark.parametrize("quantisation", Quantisation)
def test_an_adversary_moves_images_away_from_their_codes(flat: Any, quantisation: Quantisation) -> None:
    network, batch = build(flat).eval(), toy_batch()
    seen: list[Tensor] = []
    network.image.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    module = wrap(network, adversary=(8.0, 2), quantisation=quantisation)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    module.train()
    module.training_step(batch, 0)
    images = batch.pairs.images
    codes = batch.image_codes if quantisation is Quantisation.code else binary_codes(network.eval().hash_images(images))
    trained_on = seen[-2] if quantisation is Quantisation.sign else seen[-1]
    assert 0 < float((trained_on - images).abs().max()) <= 8 / 255 + 1e-6
    with torch.no_grad():
        before, after = (float((network.eval().hash_images(part) * codes).sum()) for part in (images, trained_on))
    assert after < before
