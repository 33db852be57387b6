"""Rules of `attack`."""

from math import inf

from aach_lightning.config.attack import (
    CmlaObjectiveConfig,
    HagObjectiveConfig,
    SdhaObjectiveConfig,
    SignStepConfig,
    TripletObjectiveConfig,
)
from aach_lightning.config.choices import BankName, NormName, SourceName
from aach_lightning.config.mistakes import Mistakes
from aach_lightning.config.schema import RunConfig
from aach_lightning.config.validate_aim import check_aim, check_edits, check_universal
from aach_lightning.config.validate_search import check_search


def check_attack(config: RunConfig, found: Mistakes) -> None:
    """Note what is wrong with `attack`."""
    attack, need = config.attack, found.need
    need(0 < attack.epsilon < inf, "attack.epsilon", attack.epsilon, "must be greater than 0, in units of 1/255")
    need(
        attack.norm is NormName.l2 or attack.epsilon % 1 == 0 or attack.epsilon == inf,
        "attack.epsilon",
        attack.epsilon,
        f"must be a whole number of 1/255 under {attack.norm}: the target is shown 8-bit images, which would break a "
        "fraction",
    )
    found.positive("attack.text_epsilon", "attack.steps", "attack.step.size", "attack.batch_size")
    if isinstance(attack.step, SignStepConfig):
        found.not_negative("attack.step.momentum")
    check_search(config, found)
    need(
        attack.source is SourceName.target or attack.bank is BankName.queried,
        "attack.bank",
        attack.bank,
        f"must be queried under attack.source={attack.source}: a black-box attacker knows the codes it has asked for",
    )
    _check_objective(config, found)
    check_edits(config, found)
    check_aim(config, found)
    check_universal(config, found)
    gradient = attack.gradient
    found.share("attack.gradient.slope")
    found.share_or_zero("attack.gradient.diversity.probability")
    found.share("attack.gradient.diversity.smallest")
    need(1 <= gradient.scales <= 8, "attack.gradient.scales", gradient.scales, "must lie in 1 to 8")
    odd = gradient.smoothing >= 1 and gradient.smoothing % 2 == 1
    need(odd, "attack.gradient.smoothing", gradient.smoothing, "must be odd and at least 1")
    found.not_negative("attack.gradient.neighbours", "attack.gradient.radius")


def _check_objective(config: RunConfig, found: Mistakes) -> None:
    objective = config.attack.objective
    if isinstance(objective, TripletObjectiveConfig):
        found.not_negative("attack.objective.margin", "attack.objective.quantisation_weight")
        found.share("attack.objective.positives", "attack.objective.negatives")
        both, key = objective.positives + objective.negatives, "attack.objective.positives + attack.objective.negatives"
        found.need(both <= 1, key, both, "the two shares of the ranking may not overlap")
    if isinstance(objective, CmlaObjectiveConfig):
        found.not_negative("attack.objective.intra_weight", "attack.objective.distortion_weight")
    if isinstance(objective, HagObjectiveConfig):
        key = "attack.objective.threshold"
        found.need(0 < objective.threshold <= 2, key, objective.threshold, "must lie in (0, 2]")
    if isinstance(objective, SdhaObjectiveConfig):
        found.positive("attack.objective.sigma")
        found.not_negative("attack.objective.distortion_weight")
