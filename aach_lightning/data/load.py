"""Pairs from the configuration."""

from dataclasses import asdict
from typing import cast

from aach_lightning.data.pairs import Pairs
from aach_lightning.runtime.data_schemas import DataConfig
from aach_lightning.runtime.instantiate import instantiate
from aach_lightning.runtime.schemas import PathsConfig


def load_pairs(data: DataConfig, paths: PathsConfig) -> Pairs:
    """Read or draw the configured data set, through the cache of decoded images."""
    return cast(Pairs, instantiate(asdict(data), cache=paths.cache))
