"""Finished batches of deltas on disk, so that a killed attack goes on after the last of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BasePredictionWriter

from aach_lightning.errors import CheckpointError
from aach_lightning.runtime.checkpoints import load_tensors, save_tensors


class BatchWriter(BasePredictionWriter):
    """Writes each batch of deltas as it is finished, with the objective of its steps where that was recorded.

    Args:
        folder: Where to.
        numbers: Number of each batch that the data module gives.
    """

    def __init__(self, folder: Path, numbers: Sequence[int]) -> None:
        super().__init__(write_interval="batch")
        self.folder, self.numbers = folder, numbers

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
        recorded = getattr(pl_module, "recorded", None)
        objective = {} if recorded is None else {"objective": recorded}
        save_tensors(batch_file(self.folder, self.numbers[batch_idx]), {"delta": prediction, **objective})


def batch_file(folder: Path, number: int) -> Path:
    """Where batch `number` is written."""
    return folder / f"batch-{number:05d}.safetensors"


def is_whole(file: Path) -> bool:
    """Whether a batch was written, and can be read."""
    if not file.exists():
        return False
    try:
        load_tensors(file)
    except CheckpointError:
        return False
    return True
