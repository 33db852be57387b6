"""Cross-modal triplets as row numbers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Triplets:
    """T triplets: an anchor of one modality, a positive and a negative of the other.

    Attributes:
        anchor: int64, T, rows of the anchors' modality.
        positive: int64, T, rows of the other modality, nearer to the anchor in the target's codes.
        negative: int64, T, rows of the other modality, farther from the anchor in the target's codes.
    """

    anchor: Tensor
    positive: Tensor
    negative: Tensor

    def __len__(self) -> int:
        return len(self.anchor)

    def rows(self) -> Tensor:
        """All rows that occur, sorted, each once."""
        rows: Tensor = torch.unique(torch.cat([self.anchor, self.positive, self.negative]))
        return rows

    def renumbered(self, rows: Tensor) -> Self:
        """The same triplets as positions inside sorted `rows`, which must contain all of them."""
        return self._map(lambda values: torch.searchsorted(rows, values))

    def to(self, device: torch.device | str) -> Self:
        """Copy to `device`."""
        return self._map(lambda values: values.to(device))

    def _map(self, function: Callable[[Tensor], Tensor]) -> Self:
        return replace(
            self, anchor=function(self.anchor), positive=function(self.positive), negative=function(self.negative)
        )
