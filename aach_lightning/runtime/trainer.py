"""Lightning's Trainer as every stage here uses it: epochs that resume exactly, checkpoints that are what they claim."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import MisconfigurationException  # type: ignore[attr-defined]

from aach_lightning.runtime.checkpoints import load_lightning_checkpoint
from aach_lightning.runtime.errors import CheckpointError, ConfigError
from aach_lightning.runtime.progress import StageProgress
from aach_lightning.runtime.schemas import TrainerConfig
from aach_lightning.runtime.seeding import derive_seed
from aach_lightning.runtime.throughput import Throughput

log = logging.getLogger(__name__)

# Lightning's advice that does not apply: batches are read from a memory map, frozen backbones stay in eval mode, and
# delta is learned with gradients in `predict`, which needs no inference mode.
_NOT_OUR_CASE = (
    "does not have many workers",
    "Couldn.t infer the batch indices",
    "The number of training batches",
    "exists and is not empty",
    "in eval mode at the start of training",
    "`isinstance\\(treespec, LeafSpec\\)` is deprecated",
)


class ReseedEachEpoch(Callback):
    """Seed torch from (seed, epoch) at the start of each epoch: a resumed run draws what the killed one would have."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed before the first batch."""
        torch.manual_seed(derive_seed(self.seed, "epoch", trainer.current_epoch))


def compute_device(config: TrainerConfig) -> torch.device:
    """Where to compute outside a Trainer."""
    return torch.device("cuda" if config.accelerator in ("gpu", "cuda") else "cpu")


def make_trainer(
    config: TrainerConfig,
    folder: Path,
    description: str,
    epochs: int = 1,
    callbacks: Sequence[Callback] = (),
    logger: Logger | None = None,
) -> pl.Trainer:
    """A Trainer for one stage.

    Args:
        config: Hardware.
        folder: Where Lightning may put files.
        description: Shown beside the progress bar.
        epochs: Number of training epochs.
        callbacks: Beside the progress bar.
        logger: Where curves go, or None.

    Raises:
        ConfigError: If this machine lacks the hardware, or Lightning does not know a value.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in _NOT_OUR_CASE:
        warnings.filterwarnings("ignore", f".*{message}")
    # Deterministic mode would first write NaN into all new memory, against programs that read it before they write:
    # a fifth of a step on a CPU.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        return pl.Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            strategy=config.strategy,
            precision=config.precision,  # type: ignore[arg-type]
            deterministic=config.deterministic,
            max_epochs=epochs,
            callbacks=[StageProgress(description), Throughput(), *callbacks],
            logger=logger or False,
            enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
            enable_model_summary=False,
            default_root_dir=folder,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            reload_dataloaders_every_n_epochs=1,  # each epoch's order and triplets come from its number
            use_distributed_sampler=False,
            inference_mode=False,
        )
    except (MisconfigurationException, ValueError) as error:
        raise ConfigError(
            f"trainer.accelerator={config.accelerator}, devices={config.devices}, strategy={config.strategy}, "
            f"precision={config.precision}: {error}"
        ) from error


def checkpoint_callbacks(folder: Path, monitor: str | None) -> list[Callback]:
    """Checkpoints at epoch ends: `last.ckpt` always; `best.ckpt` by the highest `monitor` where one is given."""
    last = ModelCheckpoint(
        folder, "last", monitor=None, every_n_epochs=1, save_on_train_epoch_end=True, enable_version_counter=False
    )
    if monitor is None:
        return [last]
    best = ModelCheckpoint(folder, "best", monitor=monitor, mode="max", save_top_k=1, enable_version_counter=False)
    return [best, last]


def fit(trainer: pl.Trainer, module: pl.LightningModule, data: pl.LightningDataModule, checkpoints: Path) -> None:
    """Train, from `checkpoints/last.ckpt` on where a killed run left one.

    A checkpoint that cannot be read is deleted with a warning: the stage starts from its beginning.
    """
    last: Path | None = checkpoints / "last.ckpt"
    if last is not None and last.exists():
        try:
            epoch = load_lightning_checkpoint(last)["epoch"]
            log.info("continuing after epoch %s of %s", epoch, last)
        except (CheckpointError, KeyError) as error:
            log.warning("starting from the first epoch: %s", error)
            last.unlink()
            last = None
    else:
        last = None
    trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
