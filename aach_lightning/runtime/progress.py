"""One progress bar a stage: epochs while training, batches while predicting, with the latest numbers beside it."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


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
    """Draws the bar of one stage: Lightning's own bars count the batches of an epoch and do not fit into 80 columns.

    Args:
        description: Left of the bar.
    """

    def __init__(self, description: str) -> None:
        super().__init__()
        self.description = description
        self._progress: Progress | None = None
        self._enabled = True

    def disable(self) -> None:
        """Lightning calls this on all processes but the first."""
        self._enabled = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar, at the epoch where a resumed training starts."""
        self._start(trainer.max_epochs, trainer.current_epoch)

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar."""
        self._start(sum(int(count) for count in trainer.num_predict_batches), 0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One epoch further."""
        numbers = {name.split("/")[-1]: value for name, value in trainer.progress_bar_metrics.items()}
        self._advance("  ".join(f"{name} {float(value):.3f}" for name, value in numbers.items()))

    def on_predict_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """One batch further."""
        self._advance("")

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """Leave the last state on the screen, and give the terminal back."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    on_predict_end = on_exception = on_train_end

    def _start(self, total: int | None, completed: int) -> None:
        if self._enabled:
            self._progress = Progress(*progress_columns())
            self._progress.add_task(self.description, total=total, completed=completed, numbers="")
            self._progress.start()

    def _advance(self, numbers: str) -> None:
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], advance=1, numbers=numbers)
