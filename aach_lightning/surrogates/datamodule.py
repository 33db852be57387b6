"""What a surrogate learns from, as mined batches: answers of the target, queried once, or labels of public pairs."""

from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from aach_lightning.data.dataset import PairDataset
from aach_lightning.data.experiment import Experiment
from aach_lightning.mining.epoch import MinedBatch, code_distances, mine_epoch
from aach_lightning.mining.miners import Miner
from aach_lightning.runtime import ranks
from aach_lightning.runtime.checkpoints import load_tensors, save_tensors
from aach_lightning.runtime.instantiate import instantiate, with_arguments
from aach_lightning.surrogates.batch import TripletBatch
from aach_lightning.targets.blackbox import BlackBox


class MinedDataModule(pl.LightningDataModule):
    """Some pairs as batches that are mined anew each epoch.

    Args:
        experiment: Its data, miner, batch size and seed.
        rows: int64, N pairs to learn from.
        features: N x F, what the surrogate's frozen backbone makes of their images; None to give it the images.

    Attributes:
        image_codes: int8 in {-1, +1}, N x K, what the target answered; None where it was not asked.
        text_codes: int8 in {-1, +1}, N x K, or None.
    """

    image_codes: Tensor | None = None
    text_codes: Tensor | None = None

    def __init__(self, experiment: Experiment, rows: NDArray[np.int64], features: Tensor | None = None) -> None:
        super().__init__()
        self.prepare_data_per_node = False  # one process sends the queries, however many machines there are
        config = experiment.config
        self.pairs, self.rows = experiment.pairs, rows
        self.miner = cast(Miner, instantiate(with_arguments(config.mining)))
        self.batch_size, self.seed = config.surrogate.batch_size, config.seed
        self.code_length = config.target.code_length
        self.dataset = PairDataset(experiment.pairs, rows, features, shared=True)

    @cached_property
    def distances(self) -> Tensor:
        """int64, N x N, of images to texts: what triplets are mined from."""
        raise NotImplementedError

    def mine(self, epoch: int) -> list[MinedBatch]:
        """The batches of an epoch."""
        return mine_epoch(self.distances, self.miner, self.batch_size, self.seed, epoch)

    def train_dataloader(self) -> DataLoader[TripletBatch]:
        """The batches of the trainer's current epoch."""
        batches = self.mine(self.trainer.current_epoch if self.trainer is not None else 0)
        return DataLoader(_MinedBatches(self, batches), batch_size=None, generator=torch.Generator())


class _MinedBatches(Dataset[TripletBatch]):
    def __init__(self, data: MinedDataModule, batches: list[MinedBatch]) -> None:
        self.data, self.batches = data, batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> TripletBatch:
        data, batch = self.data, self.batches[index]
        return TripletBatch(
            data.dataset.__getitems__(batch.rows.tolist()),
            None if data.image_codes is None else data.image_codes[batch.rows],
            None if data.text_codes is None else data.text_codes[batch.rows],
            batch.image_anchored,
            batch.text_anchored,
        )


class SurrogateDataModule(MinedDataModule):
    """The M queried pairs with the target's codes, as mined batches.

    Args:
        experiment: As of `MinedDataModule`; so are the others.
        door: The metered door to the target.
        rows: int64, the M rows that are sent.
        folder: Where the answers are kept for the other processes.
        features: Of the M queried images.
    """

    image_codes: Tensor
    text_codes: Tensor

    def __init__(
        self,
        experiment: Experiment,
        door: BlackBox,
        rows: NDArray[np.int64],
        folder: Path,
        features: Tensor | None = None,
    ) -> None:
        super().__init__(experiment, rows, features)
        self.door, self.folder, self.queried = door, folder, rows
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

    @cached_property
    def distances(self) -> Tensor:
        """Of the codes that the target answered."""
        return code_distances(self.image_codes, self.text_codes)


class PublicDataModule(MinedDataModule):
    """Public pairs with their labels, as mined batches; the target is not asked."""

    @cached_property
    def distances(self) -> Tensor:
        """0 bits where two items share a label, else K."""
        labels = torch.from_numpy(self.pairs.labels[self.rows]).float()
        return torch.where(labels @ labels.T > 0, 0, self.code_length)
