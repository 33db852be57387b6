"""Objects from configs by `_target_`, from an allow-list. The only file that uses hydra.utils."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object
from hydra.utils import instantiate as hydra_instantiate
from omegaconf import DictConfig, OmegaConf

from aach_lightning.errors import ConfigError

VARIABLE = "AACH_ALLOWED_TARGETS"
ALLOWED = ("aach_lightning.", "torch.nn.")


def instantiate(config: Mapping[str, Any] | DictConfig, **extra: Any) -> Any:
    """Create the object that a config describes.

    A `_target_` names code that gets run, so a config from elsewhere could run anything. Only names below the prefixes
    in ALLOWED pass, and those in the environment variable AACH_ALLOWED_TARGETS (comma-separated prefixes, such as
    `mylab.nets.`), which the person at the keyboard sets and no config file can. What the name leads to must be
    defined below an allowed prefix too: `aach_lightning.x.os.system` does not pass. Nor does text with an interpolation
    left in it (`${...}`): Hydra would resolve it after this check, and it can stand for a further `_target_`.

    Args:
        config: Has a `_target_`; further ones may be nested in it.
        **extra: Arguments beside those of the config.

    Raises:
        ConfigError: If a `_target_` is not allowed, does not exist, or refuses its arguments, or if an interpolation is
            left.
    """
    plain = OmegaConf.to_container(config, resolve=True) if isinstance(config, DictConfig) else dict(config)
    for text in _strings([plain, extra]):
        if "${" in text:
            raise ConfigError(f"the text {text!r} is not allowed: an interpolation must be resolved before this point")
    check_targets(plain)
    if not isinstance(plain, dict) or "_target_" not in plain:
        raise ConfigError(f"a config without _target_ cannot be instantiated: {plain}")
    try:
        return hydra_instantiate(plain, **extra, _convert_="all")
    except InstantiationException as error:
        # an error of the object's own that a person can act on is worth more than Hydra's account of where it arose
        cause = error.__cause__
        if cause is not None and not isinstance(cause, TypeError | ValueError | ImportError):
            raise cause from error
        raise ConfigError(f"_target_={plain['_target_']}: {str(cause or error).strip()}") from error


def with_arguments(config: Any) -> dict[str, Any]:
    """A dataclass of the configuration as a plain dict for `instantiate`.

    What the options called `custom` hold under `arguments`, which no schema can know, stands beside the other keys, and
    never in the place of one.
    """
    plain: dict[str, Any] = asdict(config)
    return {**plain.pop("arguments", {}), **plain}


def partial_of(config: Mapping[str, Any]) -> "partial[Any]":
    """The class that a config describes, with its arguments, to be called with objects that no config can hold.

    Raises:
        ConfigError: As `instantiate`.
    """
    found: partial[Any] = instantiate({**config, "_partial_": True})
    return found


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _strings([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _strings(child)


def check_targets(config: Any) -> None:
    """Check every `_target_` anywhere inside plain dicts and lists, creating nothing.

    Raises:
        ConfigError: If one is not allowed or does not exist.
    """
    for target in _targets(config):
        _check(target)


def _targets(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield str(value["_target_"])
        for child in value.values():
            yield from _targets(child)
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _targets(child)


def _check(target: str) -> None:
    prefixes = (*ALLOWED, *(p.strip() for p in os.environ.get(VARIABLE, "").split(",") if p.strip()))
    advice = (
        f"allowed are names below {', '.join(prefixes)}; to allow your own package, set the environment variable "
        f"{VARIABLE}=yourpackage."
    )
    if not target.startswith(prefixes):
        raise ConfigError(f"_target_={target} is not allowed: {advice}")
    try:
        found = get_object(target)
    except Exception as error:  # importing a module can raise anything
        raise ConfigError(f"_target_={target} cannot be found: {' '.join(str(error).splitlines()[:2])}") from error
    home = f"{getattr(found, '__module__', '')}."
    if not callable(found) or not home.startswith(prefixes):
        raise ConfigError(f"_target_={target} leads to {found!r}, which is defined in {home[:-1] or '?'}: {advice}")
