"""Goes through all keys of a configuration: wrong values, and keys that do not exist."""

from collections.abc import Iterator
from dataclasses import is_dataclass
from difflib import get_close_matches
from typing import Any

from aach_lightning.config.option import options


def value_mistakes(config: Any, prefix: str = "") -> Iterator[str]:
    """Check each value against what its key allows.

    Args:
        config: A dataclass of the configuration; further ones may be nested in it.
        prefix: Of its keys, such as `target.`.

    Yields:
        Mistakes, each with its key, the value received and the values allowed.
    """
    declared = {one.name: one for one in options(type(config))}
    for name, value in vars(config).items():
        key = f"{prefix}{name}"
        if name not in declared:
            near = get_close_matches(name, declared, 1)
            yield f"{key}={value}: there is no such key{f'; did you mean {prefix}{near[0]}?' if near else ''}"
        elif is_dataclass(value):
            yield from value_mistakes(value, f"{key}.")
        elif isinstance(value, dict):
            for one, nested in value.items():
                yield from value_mistakes(nested, f"{key}.{one}.") if is_dataclass(nested) else ()
        elif (mistake := declared[name].mistake(value)) is not None:
            yield f"{key}={value}: {mistake}"
