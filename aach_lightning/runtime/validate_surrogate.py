"""Rules of `budget`, `mining` and `surrogate`."""

from aach_lightning.runtime.mistakes import Mistakes
from aach_lightning.runtime.schemas import RunConfig
from aach_lightning.runtime.surrogate_schemas import GapMiningConfig, RandomMiningConfig, RankMiningConfig


def check_surrogate(config: RunConfig, found: Mistakes) -> None:
    """Note what is wrong with what an attacker asks, and with what learns from the answers."""
    surrogate, mining, bits, need = config.surrogate, config.mining, config.target.code_length, found.need
    found.positive("budget.pairs")
    if isinstance(mining, GapMiningConfig):
        need(1 <= mining.gap <= bits, "mining.gap", mining.gap, f"must lie in 1 to target.code_length={bits} bits")
    if isinstance(mining, RankMiningConfig):
        found.share("mining.nearest", "mining.farthest")
        both = mining.nearest + mining.farthest
        need(both <= 1, "mining.nearest + mining.farthest", both, "the two shares of the ranking may not overlap")
    if isinstance(mining, RankMiningConfig | RandomMiningConfig):
        found.positive("mining.per_anchor")
    found.positive("surrogate.image_lr", "surrogate.backbone_lr", "surrogate.text_lr")
    found.positive("surrogate.batch_size", "surrogate.epochs")
    found.not_negative("surrogate.margin", "surrogate.triplet_weight", "surrogate.quantisation_weight")
    found.not_negative("surrogate.weight_decay", "surrogate.augmentation.noise")
    weights = surrogate.triplet_weight + surrogate.quantisation_weight
    need(weights > 0, "surrogate.triplet_weight + surrogate.quantisation_weight", weights, "nothing would be learned")
    found.below_one("surrogate.augmentation.zoom", "surrogate.image_net.dropout", "surrogate.text_net.dropout")
    found.not_negative("surrogate.image_net.hidden", "surrogate.text_net.hidden")
