"""The numbers that a reader reached, beside those that the field reports."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Count:
    """One number on the way from the distribution to the pairs.

    Attributes:
        what: What was counted.
        reached: How many there are here.
        expected: How many the field reports, or None where no number is known.
    """

    what: str
    reached: int
    expected: int | None = None

    def __str__(self) -> str:
        if self.expected is None:
            return f"{self.what}: {self.reached:,}"
        if self.reached == self.expected:
            return f"{self.what}: {self.reached:,}, as the field reports"
        return f"{self.what}: {self.reached:,} instead of {self.expected:,} ({self.reached - self.expected:+,})"


def log_counts(name: str, counts: Sequence[Count]) -> str:
    """Log every count in the order given, so that the first that differs shows where a difference comes from.

    Args:
        name: Name of the data set.
        counts: What was counted, from the whole distribution to the pairs that are kept.

    Returns:
        One sentence about the counts that differ from the field's, for `Pairs.note`; empty where none does.

    Example:
        >>> log_counts("d", [Count("images", 3, 3), Count("pairs", 1_998, 2_000)])
        'd differs from the numbers that the field reports: pairs: 1,998 instead of 2,000 (-2).'
    """
    differing = [count for count in counts if count.expected not in (None, count.reached)]
    for count in counts:
        log.log(logging.WARNING if count in differing else logging.INFO, "%s: %s", name, count)
    if not differing:
        return ""
    return f"{name} differs from the numbers that the field reports: {'; '.join(map(str, differing))}."
