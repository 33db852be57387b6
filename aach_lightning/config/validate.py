"""Everything that can be wrong with a configuration, all reported at once, before anything runs."""

import re
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

from aach_lightning.config.rules_attack import attack_rules, surrogate_rules
from aach_lightning.config.rules_data import Rule, data_rules, part_rules
from aach_lightning.config.rules_target import target_rules
from aach_lightning.config.schema import RunConfig
from aach_lightning.config.walk import value_mistakes
from aach_lightning.errors import ConfigError


def validate(config: RunConfig) -> None:
    """Check everything that can be known without reading data.

    Raises:
        ConfigError: Lists every mistake with its key, the value received and the values allowed.
    """
    found = list(value_mistakes(config))
    for rules in (data_rules, target_rules, surrogate_rules, attack_rules):
        found += _broken(rules(config), config)
    order = {one.name: place for place, one in enumerate(fields(config))}
    found.sort(key=lambda line: order.get(re.split(r"\W", line)[0], -1))
    _refuse(found, "the configuration has mistakes")


def validate_parts(config: RunConfig, query: int, train: int, database: int) -> None:
    """Check what some protocols only tell once the data have been split: the sizes of the parts.

    Args:
        config: The configuration.
        query: Size of the query part.
        train: Size of the train part.
        database: Size of the database.

    Raises:
        ConfigError: Lists every mistake with its key, the value received and the values allowed.
    """
    found = _broken(part_rules(config, query, train, database), config)
    _refuse(found, "the configuration does not fit the split of these data")


def _refuse(found: list[str], first: str) -> None:
    if found:
        raise ConfigError("\n".join([f"{first}:", *(f"  - {mistake}" for mistake in found)]))


def _broken(rules: Iterable[Rule], config: RunConfig) -> list[str]:
    return [f"{key}={_shown(config, key)}: {allowed}" for holds, key, allowed in rules if not holds]


def _shown(config: RunConfig, key: str) -> str:
    """The value of a key; the sum of `a + b`, both values of `a, b`, and what an object of the configuration makes."""
    if " + " in key:
        return str(sum(_value(config, one) for one in key.split(" + ")))
    return ", ".join(str(_value(config, one)) for one in key.split(", "))


def _value(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = getattr(config, part)
    return getattr(config, "_target_", "").rpartition(".")[2] if is_dataclass(config) else config
