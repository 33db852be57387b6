"""Rules between keys of the configuration, all checked at once, before anything runs."""

from aach_lightning.runtime.errors import ConfigError
from aach_lightning.runtime.mistakes import Mistakes
from aach_lightning.runtime.schemas import RunConfig
from aach_lightning.runtime.validate_answer import check_answer
from aach_lightning.runtime.validate_attack import check_attack
from aach_lightning.runtime.validate_data import check_data
from aach_lightning.runtime.validate_split import split_mistakes
from aach_lightning.runtime.validate_surrogate import check_surrogate
from aach_lightning.runtime.validate_target import check_target


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
    found.positive("trainer.devices", "trainer.num_nodes")
    if found:
        raise ConfigError("the configuration has mistakes:\n" + "\n".join(f"  - {mistake}" for mistake in found))
