"""How a key of the configuration is declared: its default, the values it takes, and a line of help, in one place."""

from collections.abc import Callable, Iterator
from dataclasses import field, fields
from math import inf
from pathlib import Path
from typing import Any, NamedTuple, get_args

LARGEST = 1_000_000
"""Upper bound of every number that declares none of its own: what is larger is a slip of the keyboard."""


class Limits(NamedTuple):
    """Numbers that a key takes.

    Attributes:
        at_least: Lower bound.
        at_most: Upper bound; None for LARGEST. Bounds of a share are floats: an interval is written for them.
        above: Lower bound that is not allowed itself.
        below: Upper bound that is not allowed itself.
        parity: "odd" or "even", beside an upper bound.
        unit: Of the bounds, for messages.

    Example:
        >>> str(Limits(above=0, at_most=1)), str(Limits(0)), SHARE.holds(0.5), SHARE.holds(float("nan"))
        ('must lie in (0, 1]', 'must be at least 0 and at most 1000000', True, False)
        >>> str(Limits(3, 9, parity="odd", unit="pixels"))
        'must be odd and lie in 3 to 9 pixels'
    """

    at_least: float = -inf
    at_most: float | None = None
    above: float = -inf
    below: float = inf
    parity: str = ""
    unit: str = ""

    def holds(self, value: float) -> bool:
        """Whether a number is allowed."""
        inside = self.at_least <= value <= (LARGEST if self.at_most is None else self.at_most)
        return inside and self.above < value < self.below and (not self.parity or value % 2 == (self.parity == "odd"))

    def __str__(self) -> str:
        start, low = ("greater than", self.above) if self.above > -inf else ("at least", self.at_least)
        high = self.below if self.at_most is None else self.at_most
        if high == inf:
            return f"must be {start} {low} and at most {LARGEST}"
        inside = f"{low} to {high} {self.unit}".rstrip()
        if self.above > -inf or self.below < inf or isinstance(high, float):
            inside = f"{'(' if self.above > -inf else '['}{low:g}, {high:g}{')' if self.below < inf else ']'}"
        return f"must {f'be {self.parity} and ' if self.parity else ''}lie in {inside}"


POSITIVE, NOT_NEGATIVE = Limits(above=0), Limits(0)
SHARE, SHARE_OR_ZERO, BELOW_ONE = Limits(above=0, at_most=1), Limits(0, 1.0), Limits(0, below=1)
LEVELS = Limits(0, 255.0)  # of a pixel
RATE = Limits(above=0, at_most=10)  # of learning
BITS = Limits(1, 1024, unit="bits")
SEED = Limits(-(2**63), 2**63 - 1)

Allowed = Limits | frozenset[str] | Callable[[Any], str | None] | None
"""Numbers, words, or a function that says what is wrong with a value; None for all of a type."""


def existing(words: str, holds: Callable[[Path], bool] = Path.exists) -> Callable[[str], str | None]:
    """What an option allows that is a path: what exists, or what something else holds of."""
    return lambda value: None if holds(Path(value)) else words


def option(default: Any, help: str, allowed: Allowed = None) -> Any:
    """A key of a dataclass of the configuration.

    Args:
        default: Its value where nobody sets it; MISSING where somebody must; a class or another function without
            arguments makes a new one each time.
        help: What it means, in one line.
        allowed: Which values of its type; null passes where the type has it.
    """
    metadata = {"help": help, "allowed": allowed}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


class Option(NamedTuple):
    """A key of a dataclass, as it was declared."""

    name: str
    type: Any
    default: Any
    help: str
    allowed: Allowed

    def mistake(self, value: Any) -> str | None:
        """What is wrong with a value of the right type; None where nothing is."""
        allowed = self.allowed
        if value is None or allowed is None:
            return None
        if isinstance(allowed, Limits):
            return None if allowed.holds(value) else self.words()
        if isinstance(allowed, frozenset):
            return None if value in allowed else self.words()
        return allowed(value)

    def words(self) -> str:
        """Which values are allowed; nothing where a function says so."""
        null = ", or null" if type(None) in get_args(self.type) else ""
        if isinstance(self.allowed, frozenset):
            return f"must be one of {', '.join(sorted(self.allowed))}{null}"
        return f"{self.allowed}{null}" if isinstance(self.allowed, Limits) else ""


def options(config: type[Any]) -> Iterator[Option]:
    """The keys of a dataclass; a subclass that only changes a default keeps help and allowed values of its base."""
    declared: dict[str, Any] = {}
    for base in reversed(config.__mro__):
        own = getattr(base, "__dataclass_fields__", {}).values()
        declared |= {one.name: one.metadata for one in own if one.metadata}
    for one in fields(config):
        metadata = declared.get(one.name, {})
        default = one.default if callable(one.default_factory) is False else one.default_factory
        yield Option(one.name, one.type, default, metadata.get("help", ""), metadata.get("allowed"))
