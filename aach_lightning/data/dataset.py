"""Pairs as a torch Dataset whose items are whole batches: one read of the memory map instead of N."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from aach_lightning.data.pairs import PairBatch, Pairs
from aach_lightning.runtime.seeding import torch_generator


class PairDataset(Dataset[PairBatch]):
    """Rows `indices` of some pairs.

    Args:
        pairs: The data set.
        indices: Rows of it, in the order of this data set.
        features: N x F, what a frozen backbone makes of the images of `indices`; replaces the images where given.
        shared: Of images (not of features), read only this process's share; for `hash_global_batch`.
    """

    def __init__(
        self, pairs: Pairs, indices: NDArray[np.int64], features: Tensor | None = None, shared: bool = False
    ) -> None:
        self.pairs = pairs
        self.indices = indices
        self.features = features
        self.shared = shared

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> PairBatch:
        """One pair, as a batch of one."""
        return self.__getitems__([position])

    def __getitems__(self, positions: Sequence[int]) -> PairBatch:
        """Several pairs at once, as one batch."""
        rows = self.indices[np.asarray(positions)]
        if self.features is None:
            return self.pairs.shared_batch(rows) if self.shared else self.pairs.batch(rows)
        return self.pairs.batch_of_features(rows, self.features[torch.as_tensor(positions)])


class EpochShuffle(Sampler[int]):
    """A shuffled order that depends on (seed, epoch) alone, so that a resumed epoch sees what the killed one saw."""

    def __init__(self, length: int, seed: int, epoch: int) -> None:
        self.length = length
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        generator = torch_generator(self.seed, "shuffle", self.epoch)
        return iter(torch.randperm(self.length, generator=generator).tolist())


def _whole(batch: Any) -> PairBatch:
    # `__getitems__` gives a whole batch; torch's type of a collate function knows lists alone
    return cast(PairBatch, batch)


def pair_loader(dataset: PairDataset, batch_size: int, sampler: Sampler[int] | None = None) -> DataLoader[PairBatch]:
    """A DataLoader over `dataset`, in order unless `sampler` says otherwise.

    Reading is a copy from a memory map, so worker processes would only add their start-up time.
    """
    return DataLoader(dataset, batch_size, sampler=sampler, collate_fn=_whole, generator=torch.Generator())


class ShuffledPairs(pl.LightningDataModule):
    """Pairs to learn from, in shuffled mini-batches.

    Args:
        train: The pairs.
        batch_size: Pairs in a batch.
        seed: Base seed of the order.
    """

    def __init__(self, train: PairDataset, batch_size: int, seed: int) -> None:
        super().__init__()
        self.train, self.batch_size, self.seed = train, batch_size, seed

    def train_dataloader(self) -> DataLoader[PairBatch]:
        """All pairs in the order of the trainer's current epoch."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        return pair_loader(self.train, self.batch_size, EpochShuffle(len(self.train), self.seed, epoch))
