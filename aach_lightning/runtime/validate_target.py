"""Rules of `target`."""

from aach_lightning.runtime.mistakes import Mistakes
from aach_lightning.runtime.schemas import RunConfig

TARGETS = ("dcmh",)


def check_target(config: RunConfig, found: Mistakes) -> None:
    """Note what is wrong with `target`."""
    target = config.target
    found.need(target.name in TARGETS, "target.name", target.name, f"must be one of {', '.join(TARGETS)}")
    allowed = "must lie in 1 to 1024 bits"
    found.need(1 <= target.code_length <= 1024, "target.code_length", target.code_length, allowed)
    found.positive("target.image_lr", "target.text_lr", "target.batch_size", "target.epochs", "target.validation")
    found.not_negative("target.gamma", "target.eta")
    found.below_one("target.image_net.dropout", "target.text_net.dropout")
    found.not_negative("target.image_net.hidden", "target.text_net.hidden")
