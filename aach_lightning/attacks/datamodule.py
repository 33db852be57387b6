"""AttackDataModule: the items under attack, batch by batch."""

from collections.abc import Sequence

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from aach_lightning.attacks.items import AttackBatch
from aach_lightning.data.pairs import Pairs


class _AttackBatches(Dataset[AttackBatch]):
    def __init__(
        self,
        pairs: Pairs,
        batches: Sequence[NDArray[np.int64]],
        codes: Sequence[Tensor | None],
        goals: Sequence[Tensor | None],
    ) -> None:
        self.pairs, self.batches, self.codes, self.goals = pairs, batches, codes, goals

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> AttackBatch:
        return AttackBatch(self.pairs.batch(self.batches[index]), self.codes[index], self.goals[index])


class AttackDataModule(pl.LightningDataModule):
    """The batches that this process crafts; with more processes than batches there may be none.

    Args:
        pairs: The data set.
        batches: int64, the attacked rows of each batch.
        codes: For each batch the target's own codes of the clean items, int8 N x K, or None.
        goals: For each batch the codes that a targeted attack wants the items to have, int8 N x K, or None.
    """

    def __init__(
        self,
        pairs: Pairs,
        batches: Sequence[NDArray[np.int64]],
        codes: Sequence[Tensor | None],
        goals: Sequence[Tensor | None],
    ) -> None:
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.dataset = _AttackBatches(pairs, batches, codes, goals)

    def predict_dataloader(self) -> DataLoader[AttackBatch]:
        """One batch after the other."""
        return DataLoader(self.dataset, batch_size=None)
