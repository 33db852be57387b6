"""What a person typed, before it is composed: keys that have moved, keys that do not exist, groups written as keys."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, get_args, get_origin

from aach_lightning.config.option import options
from aach_lightning.config.schema import CHOICES, names
from aach_lightning.config.serving import ServeConfig
from aach_lightning.errors import ConfigError

MOVED_KEYS: dict[str, str] = {}
"""Old key or group to the new one. Both work for one release."""

_ZOO = ("acmr", "cmhh", "cpah", "dadh", "dchmt", "dgcpn", "djsrh", "jdsh", "ssah")
MOVED_TARGETS = {
    "aach_lightning.attacks.steps.": "aach_lightning.perturbations.step.",
    "aach_lightning.data.containers.": "aach_lightning.readers.containers.",
    "aach_lightning.data.original.": "aach_lightning.readers.original.",
    "aach_lightning.data.procedural.": "aach_lightning.scenes.procedural.",
    "aach_lightning.networks.cnn_f.": "aach_lightning.zoo.cnn_f.",
    "aach_lightning.networks.text_multiscale.": "aach_lightning.zoo.text_multiscale.",
    "aach_lightning.targets.checkpoints.opening.open_checkpoint": (
        "aach_lightning.zoo.checkpoint_deployment.CheckpointDeployment"
    ),
    "aach_lightning.targets.remote.HttpTarget": "aach_lightning.targets.remote_deployment.RemoteDeployment",
    **{f"aach_lightning.targets.{name}.": f"aach_lightning.zoo.{name}." for name in _ZOO},
}
"""Old beginning of a `_target_` to the new one. Both work for one release."""

log = logging.getLogger(__name__)


def checked_overrides(words: Iterable[str]) -> list[str]:
    """A command line with the new names of what has moved.

    Args:
        words: Overrides of Hydra; flags and what else has no `=` pass as they are.

    Raises:
        ConfigError: Lists every key that does not exist, with the nearest one.
    """
    found, mistakes = [], list[str]()
    for word in words:
        key, equals, value = word.partition("=")
        bare = key.lstrip("+~")
        if equals and bare in MOVED_KEYS:
            log.warning("%s is now called %s: the old name goes with the next release", bare, MOVED_KEYS[bare])
            key = key.removesuffix(bare) + MOVED_KEYS[bare]
        elif equals and (mistake := _mistake(bare, value)):
            mistakes.append(f"  - {word}: {mistake}")
        found.append(key + equals + value)
    if mistakes:
        raise ConfigError("\n".join(["the command line has mistakes:", *mistakes]))
    return found


def rename_targets(value: Any) -> None:
    """Put the new name into each `_target_` that names what has moved, anywhere inside dataclasses and dicts."""
    held = vars(value) if is_dataclass(value) else value
    for key, inner in held.items() if isinstance(held, dict) else ():
        old = next((old for old in MOVED_TARGETS if key == "_target_" and str(inner).startswith(old)), None)
        if old is None:
            rename_targets(inner)
        else:
            held[key] = MOVED_TARGETS[old] + inner.removeprefix(old)
            log.warning("%s is now called %s: the old name goes with the next release", inner, held[key])


def _mistake(key: str, value: str) -> str | None:
    """What is wrong with a key; None for what is no key of ours, such as a group or one of Hydra's own."""
    block, known = key.partition(".")[0], _keys()
    if "." not in key or "@" in key or "/" in key or block not in {one.name for one in fields(ServeConfig)}:
        return None
    group = key.replace(".", "/")
    if value in names(group):
        return f"a choice of a group is written {group}={value}"
    if key in known or any(key.startswith(f"{free}.") for free, held in known.items() if held):
        return None
    near = get_close_matches(key, known, 1)
    return f"there is no such key{f'; did you mean {near[0]}?' if near else ''}"


@cache
def _keys() -> dict[str, bool]:
    """Every key and block that there can be, and whether names below it are free."""
    return dict(_below(ServeConfig, ""))


def _below(config: type[Any], prefix: str) -> Iterator[tuple[str, bool]]:
    for one in options(config):
        key = f"{prefix}{one.name}"
        yield key, dict in (get_origin(one.type), one.type)
        chosen = CHOICES.get(key.replace(".", "/"), {}).values()
        kinds = {one.type, *get_args(one.type), *(node if isinstance(node, type) else type(node) for node in chosen)}
        for kind in kinds:
            if isinstance(kind, type) and is_dataclass(kind) and get_origin(one.type) is not dict:
                yield from _below(kind, f"{key}.")
