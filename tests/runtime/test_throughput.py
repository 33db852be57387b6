import csv
import time
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from aach_lightning.config.schema import TrainerConfig
from aach_lightning.runtime.stopwatch import peak_memory_mib
from aach_lightning.runtime.throughput import Throughput, throughput
from aach_lightning.runtime.trainer import make_trainer

CPU = TrainerConfig(accelerator="cpu", devices=1, num_nodes=1, precision="32-true", deterministic=True)
PAUSE, SIZES, EPOCHS = 0.05, (5, 5, 2), 2


class Module(pl.LightningModule):
    """Sleeps in each step, and much longer in validation."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(1, 1)

    def training_step(self, batch: Tensor) -> Tensor:
        time.sleep(PAUSE)
        loss: Tensor = self.net(batch).square().mean()
        self.log("surrogate/loss", loss, batch_size=len(batch))
        return loss

    def validation_step(self, batch: Tensor) -> None:
        time.sleep(20 * PAUSE)

    def predict_step(self, batch: Tensor) -> Tensor:
        time.sleep(PAUSE)
        return batch

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def batches() -> DataLoader[Tensor]:
    return DataLoader([torch.ones(size, 1) for size in SIZES], batch_size=None)  # type: ignore[arg-type]


def most_possible() -> float:
    """Items a second, if steps took their sleep and nothing else: no run can be faster."""
    return sum(SIZES) / (len(SIZES) * PAUSE)


def test_training_logs_both_numbers_each_epoch_without_validation(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name=None, version="curves")
    trainer = make_trainer(CPU, tmp_path, "training", EPOCHS, logger=logger)
    trainer.fit(Module(), batches(), batches())
    with (tmp_path / "curves" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("surrogate/images_per_second")]
    assert [int(row["epoch"]) for row in rows] == list(range(EPOCHS))
    for row in rows:
        # validation alone takes 20 times as long
        assert most_possible() / 10 < float(row["surrogate/images_per_second"]) <= most_possible()
        assert 10 < float(row["surrogate/peak_memory_mib"]) <= peak_memory_mib()


def test_without_a_prefix_of_the_module_it_is_train(tmp_path: Path) -> None:
    module = Module()
    module.log = lambda name, *_, **__: names.append(name)  # type: ignore[method-assign]
    names: list[str] = []
    make_trainer(CPU, tmp_path, "training").fit(module, batches(), batches())
    assert names[-2:] == ["train/images_per_second", "train/peak_memory_mib"]


def test_predicting_counts_the_items_of_its_batches(tmp_path: Path) -> None:
    trainer = make_trainer(CPU, tmp_path, "predicting")
    counter = throughput(trainer)
    assert (counter.items_per_second, counter.peak_memory_mib) == (0.0, 0.0)
    start = time.perf_counter()
    trainer.predict(Module(), batches(), return_predictions=False)
    seconds = time.perf_counter() - start
    assert sum(SIZES) / seconds <= counter.items_per_second <= most_possible()
    assert counter.numbers(steps=30) == {"item_steps_per_second": round(30 * counter.items_per_second, 1)}
    assert 10 < counter.peak_memory_mib <= peak_memory_mib()


def test_every_trainer_has_one(tmp_path: Path) -> None:
    trainer = make_trainer(CPU, tmp_path, "training")
    assert sum(isinstance(callback, Throughput) for callback in trainer.callbacks) == 1  # type: ignore[attr-defined]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: its memory is counted")
def test_on_a_gpu_its_memory_counts(tmp_path: Path) -> None:
    hardware = TrainerConfig(**{**vars(CPU), "accelerator": "gpu"})
    trainer = make_trainer(hardware, tmp_path, "predicting")
    trainer.predict(Module(), batches(), return_predictions=False)
    numbers = throughput(trainer).numbers(steps=1)
    assert 0 < numbers["gpu_peak_memory_mib"] < 100
