"""What a stage depends on, said by naming keys of the configuration: these, and no others, are part of its key."""

from dataclasses import asdict
from typing import Any


def named(config: Any, *keys: str) -> dict[str, Any]:
    """The values of some keys of a configuration, nested as they are there, as JSON values.

    Args:
        config: A dataclass of the configuration: the whole one, or a block of it.
        *keys: Names with dots, each of a value or of a whole block.

    Raises:
        KeyError: If there is no such key.

    Example:
        >>> from aach_lightning.config.surrogate import SurrogateConfig
        >>> named(SurrogateConfig(epochs=3, seeds=2), "epochs", "augmentation.flip")
        {'epochs': 3, 'augmentation': {'flip': True}}
    """
    found: dict[str, Any] = {}
    for key in keys:
        *blocks, last = key.split(".")
        block, place = config, found
        for name in blocks:
            block, place = getattr(block, name), place.setdefault(name, {})
        place[last] = asdict(block)[last]
    return found
