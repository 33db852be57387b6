"""The contract of a query-based search: the problem it is given, and what it finds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from aach_lightning.perturbations.space import Space

Codes = Callable[[Tensor], Tensor]
"""Items as they are sent, N x ..., to their codes, int8 in {-1, +1}, N x K, on the CPU."""


@dataclass(frozen=True)
class Problem:
    """Items under attack, and the door to what hashes them.

    Attributes:
        codes: Answers with codes; what it is asked counts.
        clean: float32, N x 3 x H x W images in [0, 1] or N x D texts, on the CPU.
        ids: int64, N; an item's random numbers come from its id and the seed alone.
        space: Bounds of delta.
        limit: Most queries an item may spend, its own clean code included; at least 2.
        seed: Base seed.
    """

    codes: Codes
    clean: Tensor
    ids: Tensor
    space: Space
    limit: int
    seed: int

    def __post_init__(self) -> None:
        """Check the limit.

        Raises:
            ValueError: If it is below 2.
        """
        if self.limit < 2:
            raise ValueError(f"limit must be at least 2, an item's own code and one change, got {self.limit}")


@dataclass(frozen=True)
class Found:
    """What a search ended with.

    Attributes:
        delta: float32, N x ..., within the space.
        distance: int64, N. Hamming distance between the codes of clean + delta and of clean, 0 to K.
        queries: int64, N. Different queries that each item has spent, at most `limit`: a repeat is free, as at the
            door.
    """

    delta: Tensor
    distance: Tensor
    queries: Tensor


class Search(Protocol):
    """A query-based attack; no item sees another, so that neither order nor batches change what is found."""

    def __call__(self, problem: Problem) -> Found:
        """Look for the changes that move codes farthest."""
        ...
