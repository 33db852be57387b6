"""Lightning's Trainer as every stage here uses it: epochs that resume exactly, checkpoints that are what they claim."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException  # type: ignore[attr-defined]

from aach_lightning.config.schema import TrainerConfig
from aach_lightning.errors import CheckpointError, ConfigError
from aach_lightning.runtime import ranks
from aach_lightning.runtime.checkpoints import AtomicCheckpoints, load_lightning_checkpoint
from aach_lightning.runtime.curves import CurvesInCheckpoint
from aach_lightning.runtime.interrupts import PlainTermination, RaiseAgain
from aach_lightning.runtime.progress import StageProgress
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
    "`broadcast_buffers` is deprecated",  # its successor is not in the oldest torch that is supported
    "It is recommended to use `self.log",  # every process computes the same numbers from the global batch
    "The `srun` command is available",  # a batch script without it is one process
)


class ReseedEachEpoch(Callback):
    """Seed torch from (seed, epoch) at the start of each epoch: a resumed run draws what the killed one would have."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed before the first batch."""
        torch.manual_seed(derive_seed(self.seed, "epoch", trainer.current_epoch))


class _Joined(LightningEnvironment):
    """Tells Lightning that the processes of this run exist and have found each other.

    A single process gets it too: in a job of SLURM Lightning would count the processes of the allocation, and answer
    its signals by a checkpoint of its own and `scontrol requeue`.
    """

    creates_processes_externally = True

    def __init__(self, devices: int) -> None:
        super().__init__()
        self.devices = devices

    def local_rank(self) -> int:
        """Number of this process on its machine."""
        return ranks.local_rank()

    def node_rank(self) -> int:
        """Number of this machine."""
        return ranks.rank() // self.devices

    def teardown(self) -> None:
        """The environment stays as the launcher has made it."""


def compute_device(config: TrainerConfig) -> torch.device:
    """Where to compute outside a Trainer."""
    return torch.device("cuda", ranks.local_rank()) if config.accelerator in ("gpu", "cuda") else torch.device("cpu")


def numerics(config: TrainerConfig) -> dict[str, str]:
    """What of the hardware a stage depends on: its precision, where that is not the usual one.

    The number of processes is no part of it: they share one global batch, and what they build differs by rounding.
    """
    return {} if config.precision == "32-true" else {"precision": config.precision}


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
            num_nodes=config.num_nodes,
            # buffers are equal on all processes: each computes them from the global batch
            strategy="auto" if ranks.size() == 1 else DDPStrategy(broadcast_buffers=False),
            sync_batchnorm=ranks.size() > 1 and config.accelerator != "cpu",
            precision=config.precision,  # type: ignore[arg-type]
            deterministic=config.deterministic,
            max_epochs=epochs,
            plugins=[AtomicCheckpoints(), _Joined(config.devices)],
            callbacks=[
                StageProgress(description),
                Throughput(),
                PlainTermination(),
                RaiseAgain(),
                CurvesInCheckpoint(logger),
                *callbacks,
            ],
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
            f"trainer.accelerator={config.accelerator}, devices={config.devices}, precision={config.precision}: {error}"
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
    last = ranks.on_first(lambda: _readable(checkpoints / "last.ckpt"))
    trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)


def _readable(last: Path) -> Path | None:
    if not last.exists():
        return None
    try:
        epoch = load_lightning_checkpoint(last)["epoch"]
    except (CheckpointError, KeyError) as error:
        log.warning("starting from the first epoch: %s", error)
        last.unlink()
        return None
    log.info("continuing after epoch %s of %s", epoch, last)
    return last
