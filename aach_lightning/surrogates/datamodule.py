"""What a surrogate learns from, as mined batches: answers of the target, queried once, or labels of public pairs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from aach_lightning.data.dataset import PairDataset
from aach_lightning.data.pairs import Pairs
from aach_lightning.mining.epoch import MinedBatch, mine_distances, mine_epoch
from aach_lightning.mining.miners import Miner
from aach_lightning.runtime import ranks
from aach_lightning.runtime.checkpoints import load_tensors, save_tensors
from aach_lightning.surrogates.batch import TripletBatch
from aach_lightning.targets.blackbox import BlackBox


class _MinedBatches(Dataset[TripletBatch]):
    def __init__(
        self,
        dataset: PairDataset,
        image_codes: Tensor | None,
        text_codes: Tensor | None,
        batches: Sequence[MinedBatch],
    ) -> None:
        self.dataset, self.image_codes, self.text_codes, self.batches = dataset, image_codes, text_codes, batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> TripletBatch:
        batch = self.batches[index]
        return TripletBatch(
            self.dataset.__getitems__(batch.rows.tolist()),
            None if self.image_codes is None else self.image_codes[batch.rows],
            None if self.text_codes is None else self.text_codes[batch.rows],
            batch.image_anchored,
            batch.text_anchored,
        )


class _MinedDataModule(pl.LightningDataModule):
    """Some pairs as batches that are mined anew each epoch."""

    image_codes: Tensor | None = None
    text_codes: Tensor | None = None

    def __init__(
        self,
        pairs: Pairs,
        rows: NDArray[np.int64],
        miner: Miner,
        batch_size: int,
        seed: int,
        features: Tensor | None,
    ) -> None:
        super().__init__()
        self.prepare_data_per_node = False  # one process sends the queries, however many machines there are
        self.pairs, self.rows = pairs, rows
        self.miner, self.batch_size, self.seed = miner, batch_size, seed
        self.dataset = PairDataset(pairs, rows, features, shared=True)

    def mine(self, epoch: int) -> list[MinedBatch]:
        """The batches of an epoch."""
        raise NotImplementedError

    def train_dataloader(self) -> DataLoader[TripletBatch]:
        """The batches of the trainer's current epoch."""
        batches = self.mine(self.trainer.current_epoch if self.trainer is not None else 0)
        mined = _MinedBatches(self.dataset, self.image_codes, self.text_codes, batches)
        return DataLoader(mined, batch_size=None, generator=torch.Generator())


class SurrogateDataModule(_MinedDataModule):
    """The M queried pairs with the target's codes, as mined batches.

    Args:
        door: The metered door to the target.
        pairs: The data set.
        queried: int64, the M rows that are sent.
        folder: Where the answers are kept for the other processes.
        miner: Chooses triplets.
        batch_size: Anchors of each modality in a batch.
        seed: Base seed of mining.
        features: M x F, what the surrogate's frozen backbone makes of the queried images; None to give it the images.
    """

    image_codes: Tensor
    text_codes: Tensor

    def __init__(
        self,
        door: BlackBox,
        pairs: Pairs,
        queried: NDArray[np.int64],
        folder: Path,
        miner: Miner,
        batch_size: int,
        seed: int,
        features: Tensor | None = None,
    ) -> None:
        super().__init__(pairs, queried, miner, batch_size, seed, features)
        self.door, self.folder, self.queried = door, folder, queried
        self._failure: Exception | None = None

    @property
    def _answers(self) -> Path:
        return self.folder / "answers.safetensors"

    def prepare_data(self) -> None:
        """Send the M pairs through the door; Lightning calls this on one process alone."""
        batch = self.pairs.batch(self.queried)
        try:
            save_tensors(self._answers, self._kept(*self.door.query(batch.images, batch.texts)))
        except Exception as error:
            self._failure = error  # raised in `setup`, where the other processes hear of it

    def setup(self, stage: str) -> None:
        """Read the answers; every process does.

        Raises:
            Exception: On every process, what went wrong when the queries were sent.
        """
        ranks.on_first(self._report_failure)
        answers = load_tensors(self._answers)
        self.image_codes, self.text_codes = answers["image_codes"], answers["text_codes"]

    def _kept(self, images: Tensor, texts: Tensor) -> dict[str, Tensor]:
        """What is kept of the answers."""
        return {"image_codes": images, "text_codes": texts}

    def _report_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def mine(self, epoch: int) -> list[MinedBatch]:
        """The batches of an epoch, from the target's codes."""
        return mine_epoch(self.image_codes, self.text_codes, self.miner, self.batch_size, self.seed, epoch)


class PublicDataModule(_MinedDataModule):
    """Public pairs with their labels, as mined batches; the target is not asked.

    Args:
        pairs: The data set.
        public: int64, P rows whose labels are known.
        code_length: K: two items stand 0 bits apart where they share a label, else K.
        miner: Chooses triplets.
        batch_size: Anchors of each modality in a batch.
        seed: Base seed of mining.
        features: P x F, as of `SurrogateDataModule`.
    """

    def __init__(
        self,
        pairs: Pairs,
        public: NDArray[np.int64],
        code_length: int,
        miner: Miner,
        batch_size: int,
        seed: int,
        features: Tensor | None = None,
    ) -> None:
        super().__init__(pairs, public, miner, batch_size, seed, features)
        labels = torch.from_numpy(pairs.labels[public]).float()
        self.distances = torch.where(labels @ labels.T > 0, 0, code_length)

    def mine(self, epoch: int) -> list[MinedBatch]:
        """The batches of an epoch, from the labels."""
        return mine_distances(self.distances, self.miner, self.batch_size, self.seed, epoch)
