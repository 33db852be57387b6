"""What trains a target: shuffled train pairs, and held-out queries against a database to watch its MAP."""

from torch.utils.data import DataLoader

from aach_lightning.data.dataset import PairDataset, ShuffledPairs, pair_loader
from aach_lightning.data.pairs import PairBatch


class TargetDataModule(ShuffledPairs):
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
        super().__init__(train, batch_size, seed)
        self.query, self.database = query, database

    def val_dataloader(self) -> list[DataLoader[PairBatch]]:
        """Queries, then the database."""
        return [pair_loader(part, self.batch_size) for part in (self.query, self.database)]
