"""What an attack is given: the items under attack, and those whose codes the attacker knows."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from aach_lightning.data.pairs import PairBatch


@dataclass(frozen=True)
class Bank:
    """M items that the attacker knows, from which positives and negatives come.

    Attributes:
        other: M x K float, the source's relaxed codes of the modality that is not attacked.
        ranking: M x K in {-1, +1}, the codes by which these are ranked: the source's, or as the target answered.
        own: M x K float, the source's relaxed codes of the attacked modality; None where no objective reads them.
        labels: uint8 in {0, 1}, M x C; None where no objective reads them.
    """

    other: Tensor
    ranking: Tensor
    own: Tensor | None = None
    labels: Tensor | None = None

    def to(self, device: torch.device | str) -> Self:
        """Copy to `device`."""

        def moved(values: Tensor | None) -> Tensor | None:
            return None if values is None else values.to(device)

        return type(self)(self.other.to(device), self.ranking.to(device), moved(self.own), moved(self.labels))


@dataclass(frozen=True)
class AttackBatch:
    """Items under attack, as the data module gives them.

    Attributes:
        pairs: N pairs; of their halves only the attacked one is read, labels only by objectives that need them.
        anchors: int8 in {-1, +1}, N x K, the target's codes of the clean items where they were queried; else None, and
            the source's own codes are used.
        goals: int8 in {-1, +1}, N x K, the codes that a targeted attack wants the items to have; else None.
    """

    pairs: PairBatch
    anchors: Tensor | None
    goals: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "AttackBatch":
        """Copy to `device`."""
        codes = (None if part is None else part.to(device) for part in (self.anchors, self.goals))
        return AttackBatch(self.pairs.to(device), *codes)


@dataclass(frozen=True)
class Items:
    """Items under attack, as an objective sees them.

    Attributes:
        relaxed: N x K float, the source's relaxed codes of the clean items.
        codes: int8 in {-1, +1}, N x K, their binary codes: of the source, or as the target answered.
        labels: uint8 in {0, 1}, N x C; None for objectives that do not read them.
        goals: int8 in {-1, +1}, N x K, the codes that a targeted attack wants the items to have; else None.
    """

    relaxed: Tensor
    codes: Tensor
    labels: Tensor | None = None
    goals: Tensor | None = None
