"""What trains a target: shuffled train pairs, and held-out queries against a database to watch its MAP."""

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from aach_lightning.data.dataset import EpochShuffle, PairDataset, pair_loader
from aach_lightning.data.pairs import PairBatch


class TargetDataModule(pl.LightningDataModule):
    """Loaders for target training.

    Args:
        train: Train pairs.
        query: Pairs that are searched with.
        database: Pairs that are searched.
        batch_size: Pairs in a batch.
        seed: Base seed of the order.
    """

    def __init__(
        self, train: PairDataset, query: PairDataset, database: PairDataset, batch_size: int, seed: int
    ) -> None:
        super().__init__()
        self.train, self.query, self.database = train, query, database
        self.batch_size, self.seed = batch_size, seed

    def train_dataloader(self) -> DataLoader[PairBatch]:
        """All train pairs in the order of the trainer's current epoch."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        return pair_loader(self.train, self.batch_size, EpochShuffle(len(self.train), self.seed, epoch))

    def val_dataloader(self) -> list[DataLoader[PairBatch]]:
        """Queries, then the database."""
        return [pair_loader(part, self.batch_size) for part in (self.query, self.database)]
