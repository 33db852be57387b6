"""One progress bar a stage: epochs while training, batches while predicting, with the latest numbers beside it."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


def progress_columns() -> tuple[Any, ...]:
    """What every bar of this project shows."""
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[numbers]}"),
    )


class StageProgress(ProgressBar):
    """Draws the bar of one stage.

    Args:
        description: Left of the bar.
    """

    def __init__(self, description: str) -> None:
        super().__init__()
        self.description = description
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._enabled = True

    def disable(self) -> None:
        """Lightning calls this on all processes but the first."""
        self._enabled = False

    def _start(self, total: int | None) -> None:
        if self._enabled:
            self._progress = Progress(*progress_columns())
            self._progress.start()
            self._task = self._progress.add_task(self.description, total=total, numbers="")

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar, at the epoch where a resumed training starts."""
        self._start(trainer.max_epochs)
        if self._progress is not None:
            self._progress.update(self._task, completed=trainer.current_epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One epoch further."""
        if self._progress is not None:
            numbers = {name.split("/")[-1]: value for name, value in trainer.progress_bar_metrics.items()}
            text = "  ".join(f"{name} {float(value):.3f}" for name, value in numbers.items())
            self._progress.update(self._task, completed=trainer.current_epoch + 1, numbers=text)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the last state on the screen."""
        self._stop()

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar."""
        self._start(sum(int(count) for count in trainer.num_predict_batches))

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """One batch further."""
        if self._progress is not None:
            self._progress.advance(self._task)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the last state on the screen."""
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self._stop()
