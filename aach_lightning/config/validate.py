"""Rules between keys of the configuration, all checked at once, before anything runs."""

from aach_lightning.config.choices import SourceName
from aach_lightning.config.mistakes import Mistakes
from aach_lightning.config.schema import RunConfig
from aach_lightning.config.validate_answer import check_answer
from aach_lightning.config.validate_attack import check_attack
from aach_lightning.config.validate_data import check_data
from aach_lightning.config.validate_split import split_mistakes
from aach_lightning.config.validate_surrogate import check_surrogate
from aach_lightning.config.validate_target import check_target
from aach_lightning.errors import ConfigError


def validate(config: RunConfig) -> None:
    """Check everything that can be known without reading data.

    Raises:
        ConfigError: Lists every mistake with its key, the value received and the values allowed.
    """
    found = Mistakes(config)
    check_data(config, found)
    found.extend(split_mistakes(config))
    check_target(config, found)
    check_answer(config, found)
    check_surrogate(config, found)
    check_attack(config, found)
    found.positive("evaluation.queries", "evaluation.picture_rows")
    found.not_negative("evaluation.held_out")
    _check_trace(config, found)
    found.positive("trainer.devices", "trainer.num_nodes")
    if found:
        raise ConfigError("the configuration has mistakes:\n" + "\n".join(f"  - {mistake}" for mistake in found))


def _check_trace(config: RunConfig, found: Mistakes) -> None:
    trace, attack = config.evaluation.trace, config.attack
    steps = all(1 <= count < attack.steps for count in trace) and trace == sorted(set(trace))
    allowed = f"must be ascending numbers of steps, each from 1 to below attack.steps={attack.steps}"
    found.need(steps, "evaluation.trace", trace, allowed)
    by_steps = attack.source is not SourceName.queries and not attack.universal
    found.need(by_steps or not trace, "evaluation.trace", trace, f"must be [] under attack={attack.name}")
