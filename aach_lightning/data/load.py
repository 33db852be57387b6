"""Pairs from the configuration."""

from typing import cast

from aach_lightning.data.pairs import Pairs
from aach_lightning.runtime.data_schemas import DataConfig
from aach_lightning.runtime.instantiate import instantiate, with_arguments
from aach_lightning.runtime.schemas import PathsConfig


def load_pairs(data: DataConfig, paths: PathsConfig) -> Pairs:
    """Read or draw the configured data set, through the cache of decoded images."""
    return cast(Pairs, instantiate(with_arguments(data), cache=paths.cache))
