"""Pairs from the configuration."""

from typing import cast

from aach_lightning.config.data import DataConfig
from aach_lightning.config.schema import PathsConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.runtime.instantiate import instantiate, with_arguments


def load_pairs(data: DataConfig, paths: PathsConfig) -> Pairs:
    """Read or draw the configured data set, through the cache of decoded images."""
    return cast(Pairs, instantiate(with_arguments(data), cache=paths.cache))
