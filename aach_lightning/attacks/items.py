"""What an attack is given: the items under attack, and those whose codes the attacker knows."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from aach_lightning.data.pairs import PairBatch, Pairs


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

    def to(self, device: torch.device | str) -> "Bank":
        """Copy to `device`."""
        return replace(self, **_moved(self, device))


@dataclass(frozen=True)
class ItemCodes:
    """Codes that an attacker has for the N items under attack, int8 in {-1, +1}, N x K.

    Attributes:
        anchors: The target's codes of the clean items where they were queried; None to use the source's own codes.
        goals: The codes that a targeted attack wants the items to have; else None.
    """

    anchors: Tensor | None = None
    goals: Tensor | None = None

    def at(self, place: slice) -> "ItemCodes":
        """The codes of some of the items."""
        return ItemCodes(*(None if codes is None else codes[place] for codes in (self.anchors, self.goals)))


@dataclass(frozen=True)
class AttackBatch:
    """Items under attack, as they are read.

    Attributes:
        pairs: N pairs; of their halves only the attacked one is read, labels only by objectives that need them.
        codes: What the attacker knows or wants of them.
    """

    pairs: PairBatch
    codes: ItemCodes = ItemCodes()

    def __len__(self) -> int:
        return len(self.pairs)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "AttackBatch":
        """Copy to `device`."""
        return AttackBatch(self.pairs.to(device), replace(self.codes, **_moved(self.codes, device)))


class AttackBatches(Dataset[AttackBatch]):
    """The items under attack, batch by batch.

    Args:
        pairs: The data set.
        rows: int64, N attacked rows.
        codes: Of these items.
        size: Items in a batch.
    """

    def __init__(self, pairs: Pairs, rows: NDArray[np.int64], codes: ItemCodes, size: int) -> None:
        self.pairs, self.rows, self.codes = pairs, rows, codes
        self.places = [slice(start, start + size) for start in range(0, len(rows), size)]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, number: int) -> AttackBatch:
        place = self.places[number]
        return AttackBatch(self.pairs.batch(self.rows[place]), self.codes.at(place))


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


def _moved(part: Bank | ItemCodes, device: torch.device | str) -> dict[str, Tensor]:
    return {name: codes.to(device) for name, codes in vars(part).items() if codes is not None}
