"""What an attacker asks, how triplets are mined from the answers, and what learns from them."""

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

from aach_lightning.config.choices import Quantisation, Selection, Supervision, TripletForm
from aach_lightning.config.option import (
    BELOW_ONE,
    BITS,
    LEVELS,
    NOT_NEGATIVE,
    POSITIVE,
    RATE,
    SHARE,
    Limits,
    option,
)
from aach_lightning.config.target import EncoderConfig


@dataclass
class BudgetConfig:
    """What the attacker may ask."""

    pairs: int = option(500, "M, the number of pairs that are sent", POSITIVE)
    selection: Selection = option(Selection.random, "which M pairs are sent")
    first_share: float = option(0.5, "uncertainty: share of M that is sent at random first", Limits(above=0, below=1))


@dataclass
class MiningConfig:
    """How triplets are chosen."""

    _target_: str = MISSING


@dataclass
class GapMiningConfig(MiningConfig):
    """Within a batch, every negative at least `gap` bits farther than the positive (batch_all: 1)."""

    _target_: str = "aach_lightning.mining.miners.GapMiner"
    gap: int = option(4, "least difference of the two distances", BITS)


@dataclass
class SemiHardMiningConfig(MiningConfig):
    """Within a batch, negatives that are farther than the positive, but by little."""

    _target_: str = "aach_lightning.mining.miners.SemiHardMiner"
    smallest: int = option(2, "difference of the two distances", BITS)
    largest: int = option(8, "difference of the two distances", BITS)


@dataclass
class RandomMiningConfig(MiningConfig):
    """Two items at random, the nearer one positive."""

    _target_: str = "aach_lightning.mining.miners.RandomMiner"
    per_anchor: int = option(8, "triplets", POSITIVE)


@dataclass
class RankMiningConfig(MiningConfig):
    """Positives from the nearest share of the ranking, negatives from the farthest."""

    _target_: str = "aach_lightning.mining.miners.RankMiner"
    nearest: float = option(0.1, "share of the ranking", SHARE)
    farthest: float = option(0.5, "share of the ranking", SHARE)
    per_anchor: int = option(8, "triplets", POSITIVE)


@dataclass
class CustomMiningConfig(MiningConfig):
    """Your own class that turns distances into triplets."""

    arguments: dict[str, Any] = option(dict, "of the class that _target_ names")


MINING: dict[str, Any] = {
    "gap": GapMiningConfig,
    "batch_all": GapMiningConfig(gap=1),
    "semi_hard": SemiHardMiningConfig,
    "rank": RankMiningConfig,
    "random": RandomMiningConfig,
    "custom": CustomMiningConfig,
}


@dataclass
class AugmentationConfig:
    """Random views of queried images; they cost no query. Needs image_net.frozen=false."""

    flip: bool = option(True, "left and right")
    zoom: float = option(0.3, "largest change of scale as a share of the side; with a shift: a crop", BELOW_ONE)
    noise: float = option(8.0, "largest sign noise, in 1/255; up to the attack's usual epsilon", LEVELS)


@dataclass
class AdversaryConfig:
    """Adversarial training of the surrogate; it costs no query. Needs image_net.frozen=false."""

    epsilon: float = option(0.0, "largest change, in 1/255; 0 for none", LEVELS)
    steps: int = option(1, "gradients of the surrogate for each image and epoch", POSITIVE)


def _fine_tuned() -> EncoderConfig:
    return EncoderConfig(dropout=0.2)


@dataclass
class SurrogateConfig:
    """The networks that learn to answer like the target.

    Fine-tuned on random views of the few queried pairs: on two cores about ten milliseconds an image and epoch.
    """

    learns_from: Supervision = option(
        Supervision.codes, "codes: the answers; labels: of public pairs, nothing is asked"
    )
    public_pairs: int = option(2000, "labels: most database rows outside the train part that are public", POSITIVE)
    image_net: EncoderConfig = option(_fine_tuned, "of images")
    members: dict[str, EncoderConfig] = option(dict, "further image nets, averaged with the first")
    seeds: int = option(1, "networks of each image net, averaged", Limits(1, 100))
    text_net: EncoderConfig = option(_fine_tuned, "of texts")
    loss: TripletForm = option(TripletForm.hinge, "of triplets")
    margin: float = option(0.25, "beta, as a share of K", NOT_NEGATIVE)
    triplet_weight: float = option(1.0, "of the triplets", NOT_NEGATIVE)
    quantisation: Quantisation = option(Quantisation.code, "what a relaxed code is pulled to: its sign, or the answer")
    quantisation_weight: float = option(10.0, "of that", NOT_NEGATIVE)
    balance_weight: float = option(0.0, "of bits that are as often +1 as -1", NOT_NEGATIVE)
    image_lr: float = option(3e-3, "learning rate of the hash head of images", RATE)
    backbone_lr: float = option(3e-4, "learning rate of their backbone", RATE)
    text_lr: float = option(2e-3, "learning rate of the text network", RATE)
    weight_decay: float = option(1e-4, "of AdamW", Limits(0, 10.0))
    batch_size: int = option(32, "of queried pairs", POSITIVE)
    epochs: int = option(6, "more of them agree better with the target and transfer worse", POSITIVE)
    augmentation: AugmentationConfig = option(AugmentationConfig, "random views")
    adversarial: AdversaryConfig = option(AdversaryConfig, "adversarial training")
