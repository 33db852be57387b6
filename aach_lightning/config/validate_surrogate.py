"""Rules of `budget`, `mining` and `surrogate`."""

from aach_lightning.config.attack import TargetCodeObjectiveConfig
from aach_lightning.config.choices import Quantisation, Selection, Supervision
from aach_lightning.config.mistakes import Mistakes
from aach_lightning.config.schema import RunConfig
from aach_lightning.config.surrogate import (
    GapMiningConfig,
    RandomMiningConfig,
    RankMiningConfig,
    SemiHardMiningConfig,
)


def check_surrogate(config: RunConfig, found: Mistakes) -> None:
    """Note what is wrong with what an attacker asks, and with what learns from the answers."""
    surrogate, need = config.surrogate, found.need
    found.positive("budget.pairs")
    first = config.budget.first_share
    need(0 < first < 1, "budget.first_share", first, "must lie between 0 and 1")
    _check_mining(config, found)
    found.positive("surrogate.image_lr", "surrogate.backbone_lr", "surrogate.text_lr")
    found.positive("surrogate.batch_size", "surrogate.epochs", "surrogate.seeds", "surrogate.public_pairs")
    found.positive("surrogate.adversarial.steps")
    found.not_negative("surrogate.margin", "surrogate.triplet_weight", "surrogate.quantisation_weight")
    found.not_negative("surrogate.balance_weight", "surrogate.adversarial.epsilon")
    found.not_negative("surrogate.weight_decay", "surrogate.augmentation.noise")
    weights = surrogate.triplet_weight + surrogate.quantisation_weight
    need(weights > 0, "surrogate.triplet_weight + surrogate.quantisation_weight", weights, "nothing would be learned")
    nets = ("image_net", "text_net", *(f"members.{name}" for name in surrogate.members))
    found.below_one("surrogate.augmentation.zoom", *(f"surrogate.{net}.dropout" for net in nets))
    found.not_negative(*(f"surrogate.{net}.hidden" for net in nets))
    own = "towards their own signs every network ends with other bits, which cannot be averaged: take code"
    alone = len(surrogate.members) == 0 and surrogate.seeds == 1
    need(alone or surrogate.quantisation is Quantisation.code, "surrogate.quantisation", surrogate.quantisation, own)
    aims = isinstance(config.attack.objective, TargetCodeObjectiveConfig) and config.attack.target_item is None
    known = "a label to aim at is drawn before the pairs are chosen: take random, or attack.target_item"
    need(not aims or config.budget.selection is Selection.random, "budget.selection", config.budget.selection, known)
    if surrogate.learns_from is Supervision.labels:
        _check_learning_from_labels(config, found)


def _check_mining(config: RunConfig, found: Mistakes) -> None:
    mining, bits, need = config.mining, config.target.code_length, found.need
    allowed = f"must lie in 1 to target.code_length={bits} bits"
    if isinstance(mining, GapMiningConfig):
        need(1 <= mining.gap <= bits, "mining.gap", mining.gap, allowed)
    if isinstance(mining, SemiHardMiningConfig):
        need(1 <= mining.smallest <= bits, "mining.smallest", mining.smallest, allowed)
        between = f"must lie in mining.smallest={mining.smallest} to target.code_length={bits} bits"
        need(mining.smallest <= mining.largest <= bits, "mining.largest", mining.largest, between)
    if isinstance(mining, RankMiningConfig):
        found.share("mining.nearest", "mining.farthest")
        both = mining.nearest + mining.farthest
        need(both <= 1, "mining.nearest + mining.farthest", both, "the two shares of the ranking may not overlap")
    if isinstance(mining, RankMiningConfig | RandomMiningConfig):
        found.positive("mining.per_anchor")


def _check_learning_from_labels(config: RunConfig, found: Mistakes) -> None:
    """No code is known where nothing is asked."""
    surrogate, need = config.surrogate, found.need
    unknown = "surrogate.learns_from=labels asks nothing, so no code is known: take sign"
    need(surrogate.quantisation is Quantisation.sign, "surrogate.quantisation", surrogate.quantisation, unknown)
    need(
        config.budget.selection is Selection.random,
        "budget.selection",
        config.budget.selection,
        "surrogate.learns_from=labels asks nothing: leave it at random",
    )
    objective, reason = config.attack.objective, "wants codes of the target, which learns_from=labels never asks for"
    need(not config.attack.query_anchor, "attack.query_anchor", config.attack.query_anchor, reason)
    aims = isinstance(objective, TargetCodeObjectiveConfig)
    need(not aims, "attack.objective", objective._target_.rpartition(".")[2], reason)
