"""Images per second and peak memory of a stage: beside the curves while training, as numbers after predicting."""

import time
from collections.abc import Sized
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from aach_lightning.runtime.stopwatch import peak_memory_mib


class Throughput(Callback):
    """Counts the items of batches, by `len(batch)`, and the time from the start of an epoch to its last batch.

    Each epoch of training logs `images_per_second` (of all processes together: every one is given the global batch) and
    `peak_memory_mib` (the largest of any process), under the prefix that the module gives its own numbers, as in
    "target/loss". Validation is not in that time. Memory is that of the GPU since the stage began; on a CPU that of the
    process since it was started.

    Attributes:
        items_per_second: Of this process, in the last epoch or prediction; 0.0 before.
        peak_memory_mib: Of this process; 0.0 before.
    """

    def __init__(self) -> None:
        self.items_per_second, self.peak_memory_mib = 0.0, 0.0
        self._items, self._start, self._gpu = 0, 0.0, False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Forget the GPU memory of the stages before."""
        self._gpu = trainer.strategy.root_device.type == "cuda"
        if self._gpu:
            torch.cuda.reset_peak_memory_stats(trainer.strategy.root_device)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count anew."""
        self._items, self._start = 0, time.perf_counter()

    on_predict_start = on_train_epoch_start

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Count a batch."""
        self._count(trainer, batch, trainer.is_last_batch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log both numbers."""
        stage = next((name.split("/")[0] for name in trainer.callback_metrics if "/" in name), "train")
        pl_module.log(f"{stage}/images_per_second", self.items_per_second, sync_dist=True, batch_size=1)
        pl_module.log(f"{stage}/peak_memory_mib", self.peak_memory_mib, sync_dist=True, reduce_fx="max", batch_size=1)

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Count a batch."""
        self._count(trainer, batch, True)

    def numbers(self, steps: int) -> dict[str, float]:
        """Of a prediction of `steps` steps an item: `item_steps_per_second`; on a GPU `gpu_peak_memory_mib` too."""
        found = {"item_steps_per_second": round(steps * self.items_per_second, 1)}
        return found | ({"gpu_peak_memory_mib": round(self.peak_memory_mib, 1)} if self._gpu else {})

    def _count(self, trainer: pl.Trainer, batch: Any, last: bool) -> None:
        self._items += len(cast(Sized, batch))
        if not last:
            return
        self.peak_memory_mib = peak_memory_mib()
        if self._gpu:
            torch.cuda.synchronize(trainer.strategy.root_device)  # a step returns before its work is done
            self.peak_memory_mib = torch.cuda.max_memory_allocated(trainer.strategy.root_device) / 2**20
        self.items_per_second = self._items / (time.perf_counter() - self._start)


def throughput(trainer: pl.Trainer) -> Throughput:
    """The counter among the callbacks of a Trainer that `make_trainer` made."""
    return next(callback for callback in trainer.callbacks if isinstance(callback, Throughput))  # type: ignore[attr-defined]
