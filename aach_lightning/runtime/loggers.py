"""Where curves go: nowhere, CSV files, or Weights & Biases. The only file that knows wandb."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from aach_lightning.runtime.choices import LoggerName
from aach_lightning.runtime.schemas import LoggerConfig


@contextmanager
def stage_logger(config: LoggerConfig, stage: str, folder: Path, run: dict[str, Any]) -> Iterator[Logger | None]:
    """A logger for one stage, closed at the end of the `with` statement whatever happens.

    Args:
        config: Which logger.
        stage: Name of the stage; the job type in W&B.
        folder: Where files go.
        run: The whole configuration as plain values.
    """
    if config.name is LoggerName.none:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    if config.name is LoggerName.csv:
        yield CSVLogger(folder, name=None, version=stage)
        return
    import wandb  # starts slowly, and only here

    logger = WandbLogger(
        project=config.project,
        save_dir=folder,
        offline=config.name is LoggerName.wandb_offline,
        job_type=stage,
        config=run,
    )
    try:
        yield logger
    finally:
        wandb.finish()
