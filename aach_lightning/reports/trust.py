"""What a card from anybody may set when it is measured again: numbers, and names out of closed lists."""

import re
from collections.abc import Sequence
from dataclasses import is_dataclass
from enum import Enum
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException

from aach_lightning.config import choices
from aach_lightning.config.option import options
from aach_lightning.config.schema import RunConfig
from aach_lightning.errors import DataError
from aach_lightning.runtime.compose import options_of

_OWN = ("paths.", "hydra.", "logger")  # where files lie and who is told: never the business of a card
_LABEL = re.compile(r"[\w-]+")


def trusted_overrides(overrides: Sequence[str], own: Sequence[str]) -> list[str]:
    """The overrides of a card that are taken, then those of the person who measures it again.

    Taken are numbers, switches, choices of a group that exists, and words that a key lists: no path, no address, no
    `_target_`, no interpolation. Where files lie is left out; a key that the person sets is theirs.

    Args:
        overrides: Of the card.
        own: Of the person.

    Raises:
        DataError: If the card brings anything else.
    """
    try:
        parser = OverridesParser.create()
        theirs, set_here = parser.parse_overrides(list(overrides)), parser.parse_overrides(list(own))
    except HydraException as error:
        raise DataError(f"the overrides of the card cannot be read: {error}") from error
    keys = {override.get_key_element().lstrip("+~") for override in set_here}
    asked = [override for override in theirs if override.get_key_element().lstrip("+~") not in keys]
    asked = [override for override in asked if not override.key_or_group.startswith(_OWN)]
    if refused := [str(override.input_line) for override in asked if not _plain(override)]:
        raise DataError(
            f"not taken from a card: {', '.join(refused)}: must be numbers or names that this version lists; what you "
            "trust, give yourself, as KEY=VALUE after the card"
        )
    return [*(str(override.input_line) for override in asked), *own]


def _plain(override: Override) -> bool:
    if override.type != OverrideType.CHANGE or override.is_sweep_override() or "_target_" in override.key_or_group:
        return False
    value = override.value()
    if isinstance(value, str):
        key = override.key_or_group
        named = key == "attack.name" and _LABEL.fullmatch(value) is not None
        return named or value in options_of(key) or value in _words(key)
    return all(isinstance(one, int | float | None) for one in (value if isinstance(value, list) else [value]))


def _words(key: str) -> set[str]:
    """Words that a key of the configuration lists; where a part of the attacker has keys of its own, of all lists."""
    kind: Any = RunConfig
    listed = frozenset[str]()
    for part in key.split("."):
        one = {it.name: it for it in options(kind)}.get(part) if isinstance(kind, type) and is_dataclass(kind) else None
        if one is None:
            return _ALL_WORDS if key.startswith(("attack.", "surrogate.", "mining.")) else set()
        kind, listed = one.type, one.allowed if isinstance(one.allowed, frozenset) else frozenset()
    return {*listed, *_members(kind)}


def _members(kind: Any) -> list[str]:
    return [str(it.value) for it in kind] if isinstance(kind, type) and issubclass(kind, Enum) else []


_ALL_WORDS = {word for kind in vars(choices).values() for word in _members(kind)}
