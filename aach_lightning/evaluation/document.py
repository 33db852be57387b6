"""Versioned JSON documents: read whole or refused, each value of the type of its field."""

import json
import math
from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from aach_lightning.errors import DataError

T = TypeVar("T")
_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def read_document(
    path: Path,
    what: str,
    readable: tuple[str, ...],
    build: Callable[[dict[str, Any]], T],
    damaged: tuple[type[Exception], ...] = (),
) -> T:
    """Read a document.

    Args:
        path: Of a JSON file.
        what: The document is, in a word.
        readable: Versions of its form that can be read, the latest first.
        build: Makes the document of the content.
        damaged: Errors of `build`, beside the usual ones, that a damaged file leads to.

    Raises:
        DataError: If the file is unreadable, half-written or of another version, or `build` refuses its content.
    """
    caught: tuple[type[Exception], ...] = (*_DAMAGED, *damaged)
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content.get("schema") not in readable:
            known = " and ".join(map(repr, readable))
            raise DataError(f"{path} has schema {content.get('schema')!r}, this version reads {known}")
        return build(content)
    except caught as error:
        raise DataError(f"cannot read the {what} {path}: {error}") from error


def checked(kind: type[T], values: dict[str, Any]) -> T:
    """A dataclass of some values, each of which has the type of its field; tuples and dataclasses are not looked into.

    Raises:
        TypeError: If a field is missing, or there is another one.
        ValueError: If a value is of another type.
    """
    made = kind(**values)
    for name, wanted in get_type_hints(kind).items():
        value = getattr(made, name)
        if not _fits(value, wanted):
            raise ValueError(f"{name} is {value!r:.80}, which is no {getattr(wanted, '__name__', wanted)}")
    return made


def _fits(value: Any, kind: Any) -> bool:
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any or is_dataclass(kind) or origin is tuple:
        return True
    if origin is Literal:
        return value in parts
    if origin is UnionType:
        return any(_fits(value, part) for part in parts)
    if origin is list:
        return isinstance(value, list) and all(_fits(entry, parts[0]) for entry in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(entry, parts[1]) for entry in value.values())
    if kind is float:
        return math.isfinite(value) if isinstance(value, float) else _fits(value, int)
    if kind is int:
        return type(value) is int and abs(value) < 2**63  # no boolean, and no more than a column of a table holds
    return isinstance(value, kind)
