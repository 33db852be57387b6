"""Rules of `attack`."""

from math import inf

from aach_lightning.runtime.choices import NormName
from aach_lightning.runtime.mistakes import Mistakes
from aach_lightning.runtime.schemas import RunConfig


def check_attack(config: RunConfig, found: Mistakes) -> None:
    """Note what is wrong with `attack`."""
    attack, need = config.attack, found.need
    need(0 < attack.epsilon < inf, "attack.epsilon", attack.epsilon, "must be greater than 0, in units of 1/255")
    need(
        attack.norm is not NormName.linf or attack.epsilon % 1 == 0 or attack.epsilon == inf,
        "attack.epsilon",
        attack.epsilon,
        "must be a whole number of 1/255 under linf: the target is shown 8-bit images, which would break a fraction",
    )
    found.positive("attack.text_epsilon", "attack.steps", "attack.step_size", "attack.batch_size")
    found.not_negative("attack.momentum", "attack.margin", "attack.quantisation_weight")
    found.share("attack.positives", "attack.negatives")
    both = attack.positives + attack.negatives
    need(both <= 1, "attack.positives + attack.negatives", both, "the two shares of the ranking may not overlap")
    found.share_or_zero("attack.diversity.probability")
    found.share("attack.diversity.smallest")
