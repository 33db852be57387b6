"""A command's configuration from its overrides, without Hydra's own start."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from aach_lightning.config.options import CONF
from aach_lightning.config.overrides import checked_overrides
from aach_lightning.config.schema import RunConfig, register_schemas
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.run import checked_config


def compose_config(overrides: Sequence[str], output: Path | None = None) -> RunConfig:
    """What `python attack.py OVERRIDES` would run with.

    Args:
        overrides: As attack.py takes them.
        output: Folder of the run; None where the overrides say it, or nothing is written.

    Raises:
        ConfigError: If there is a mistake in it.
    """
    register_schemas()
    overrides = checked_overrides(overrides)
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            told = ["paths.output=.", *overrides] if output is None else [*overrides, f"paths.output={quoted(output)}"]
            composed = compose("attack", told)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(str(error)) from error
    return checked_config(composed)


@cache
def options_of(group: str) -> list[str]:
    """Names that a group of the configuration, such as "target/defence", can be set to; none if there is no group."""
    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return GlobalHydra.instance().config_loader().get_group_options(group)


def quoted(value: Any) -> str:
    r"""A value as it stands in an override, whatever characters a text or path has.

    Example:
        >>> quoted("it's"), quoted(0.5), quoted(None)
        ("'it\\'s'", '0.5', 'null')
    """
    if isinstance(value, str | Path):
        return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
    return "null" if value is None else str(value)
