"""Data sets by name, and pairs from the configuration."""

import inspect
from typing import Any, cast

from aach_lightning.config.data import DATA, DataConfig
from aach_lightning.config.schema import PathsConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.instantiate import instantiate, with_arguments


def load_pairs(data: DataConfig, paths: PathsConfig) -> Pairs:
    """Read or draw the configured data set, through the cache of decoded images."""
    return cast(Pairs, instantiate(with_arguments(data), cache=paths.cache))


def list_datasets() -> dict[str, str]:
    """The choices of `data=`, each with one line about it.

    Example:
        >>> list_datasets()["scenes"]
        'Procedural pictures with tags. No file needed; not a benchmark.'
    """
    kinds = {name: chosen if isinstance(chosen, type) else type(chosen) for name, chosen in DATA.items()}
    return {name: (inspect.getdoc(kind) or "").splitlines()[0] for name, kind in kinds.items()}


def given_in_process(**_: Any) -> Pairs:
    """What `data._target_` names where a Python program gave pairs to `aach_lightning.attack`.

    Raises:
        ConfigError: Always: from its configuration alone such an attack cannot be repeated.
    """
    raise ConfigError(
        "data._target_ names pairs that a Python program gave to aach_lightning.attack: call that again, or name a "
        "reader of your own"
    )
