"""Typed configuration of what an attacker asks, and of what learns from the answers."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from aach_lightning.config.choices import Quantisation, Selection, Supervision, TripletForm
from aach_lightning.config.target import EncoderConfig


@dataclass
class BudgetConfig:
    """What the attacker may ask."""

    pairs: int = MISSING  # M
    selection: Selection = MISSING
    first_share: float = MISSING  # uncertainty: share of M that is sent at random first


@dataclass
class MiningConfig:
    """How triplets are chosen."""

    _target_: str = MISSING


@dataclass
class GapMiningConfig(MiningConfig):
    """All triplets of a batch with a gap."""

    _target_: str = "aach_lightning.mining.miners.GapMiner"
    gap: int = MISSING  # bits


@dataclass
class SemiHardMiningConfig(MiningConfig):
    """All triplets of a batch with a small gap."""

    _target_: str = "aach_lightning.mining.miners.SemiHardMiner"
    smallest: int = MISSING  # bits
    largest: int = MISSING  # bits


@dataclass
class RankMiningConfig(MiningConfig):
    """Nearest against farthest share of the ranking."""

    _target_: str = "aach_lightning.mining.miners.RankMiner"
    nearest: float = MISSING
    farthest: float = MISSING
    per_anchor: int = MISSING


@dataclass
class RandomMiningConfig(MiningConfig):
    """Random pairs, the nearer one positive."""

    _target_: str = "aach_lightning.mining.miners.RandomMiner"
    per_anchor: int = MISSING


@dataclass
class CustomMiningConfig(MiningConfig):
    """A miner of your own."""

    arguments: dict[str, Any] = field(default_factory=dict)  # of the class that _target_ names


@dataclass
class AugmentationConfig:
    """Random views of queried images; they cost no query. Needs image_net.frozen=false."""

    flip: bool = MISSING
    zoom: float = MISSING  # largest change of scale as a share of the side
    noise: float = MISSING  # largest sign noise, in 1/255


@dataclass
class AdversaryConfig:
    """Adversarial training of the surrogate; it costs no query. Needs image_net.frozen=false."""

    epsilon: float = MISSING  # largest change, in 1/255; 0 for none
    steps: int = MISSING  # gradients of the surrogate for each image and epoch


@dataclass
class SurrogateConfig:
    """The networks that learn to answer like the target."""

    learns_from: Supervision = MISSING
    public_pairs: int = MISSING  # labels: most database rows outside the train part that are public
    image_net: EncoderConfig = field(default_factory=EncoderConfig)
    members: dict[str, EncoderConfig] = field(default_factory=dict)  # further image nets, averaged with the first
    seeds: int = MISSING  # networks of each image net, averaged
    text_net: EncoderConfig = field(default_factory=EncoderConfig)
    loss: TripletForm = MISSING
    margin: float = MISSING  # beta, as a share of K
    triplet_weight: float = MISSING
    quantisation: Quantisation = MISSING
    quantisation_weight: float = MISSING
    balance_weight: float = MISSING
    image_lr: float = MISSING
    backbone_lr: float = MISSING
    text_lr: float = MISSING
    weight_decay: float = MISSING
    batch_size: int = MISSING
    epochs: int = MISSING
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    adversarial: AdversaryConfig = field(default_factory=AdversaryConfig)


MINING_SCHEMAS: dict[str, type[MiningConfig]] = {
    "gap_schema": GapMiningConfig,
    "semi_hard_schema": SemiHardMiningConfig,
    "rank_schema": RankMiningConfig,
    "random_schema": RandomMiningConfig,
    "custom_schema": CustomMiningConfig,
}
