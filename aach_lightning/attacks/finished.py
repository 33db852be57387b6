"""Finished batches of deltas on disk, so that a killed attack goes on after the last of them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BasePredictionWriter
from torch import Tensor

from aach_lightning.attacks.module import AttackModule
from aach_lightning.runtime.checkpoints import is_readable, load_tensors, save_tensors

DELTA = "delta.safetensors"


class FinishedBatches:
    """The batches of one stage.

    Args:
        folder: Of the stage.
        count: Number of batches.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.files = [folder / f"batch-{number:05d}.safetensors" for number in range(count)]

    def missing(self) -> list[int]:
        """Batches that are not finished, or cannot be read."""
        return [number for number, file in enumerate(self.files) if not is_readable(file)]

    def save(self, number: int, tensors: Mapping[str, Tensor]) -> None:
        """Write one batch."""
        save_tensors(self.files[number], tensors)

    def load(self) -> list[dict[str, Tensor]]:
        """All batches."""
        return [load_tensors(file) for file in self.files]

    def put_together(self, *names: str) -> dict[str, Tensor]:
        """Write some tensors of all batches as one file, and delete the batches."""
        parts = self.load()
        whole = {name: torch.cat([part[name] for part in parts]) for name in names}
        save_tensors(self.folder / DELTA, whole)
        for file in self.files:
            file.unlink()
        return whole


class BatchWriter(BasePredictionWriter):
    """Writes each batch of deltas as it is finished, with the objective of its steps where that was recorded.

    Args:
        finished: Where to.
        numbers: Number of each batch that is given.
    """

    def __init__(self, finished: FinishedBatches, numbers: Sequence[int]) -> None:
        super().__init__(write_interval="batch")
        self.finished, self.numbers = finished, numbers

    # Lightning's own signature
    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: Any,
        batch_indices: Iterable[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write one batch."""
        recorded = pl_module.recorded if isinstance(pl_module, AttackModule) else None
        objective = {} if recorded is None else {"objective": recorded}
        self.finished.save(self.numbers[batch_idx], {"delta": prediction, **objective})
