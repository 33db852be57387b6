import os
import signal
import time
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from aach_lightning.config.schema import TrainerConfig
from aach_lightning.runtime.interrupts import remembered_interrupts
from aach_lightning.runtime.trainer import make_trainer

CPU = TrainerConfig(accelerator="cpu", devices=1, num_nodes=1, precision="32-true", deterministic=True)


class Deaf(pl.LightningModule):
    """Gets a Ctrl-C in batch 2, and swallows what comes of it as some libraries do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(1, 1)
        self.batches = 0

    def step(self) -> None:
        self.batches += 1
        if self.batches == 2:
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1)
            except:  # noqa: E722
                pass

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        self.step()
        loss: Tensor = self.net(batch[0]).square().mean()
        return loss

    def predict_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        self.step()
        return batch[0]

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(TensorDataset(torch.ones(9, 1)))

    predict_dataloader = train_dataloader

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


@pytest.mark.parametrize("what", ["fit", "predict"])
def test_a_swallowed_interrupt_ends_the_stage_all_the_same(tmp_path: Path, what: str) -> None:
    module = Deaf()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises((KeyboardInterrupt, SystemExit)), remembered_interrupts():
        getattr(make_trainer(CPU, tmp_path, what), what)(module)
    assert module.batches == 2
    assert signal.getsignal(signal.SIGINT) is before


def interrupt(reached: list[bool]) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)
    reached.append(True)


def test_an_interrupt_is_raised_at_once() -> None:
    reached: list[bool] = []
    with pytest.raises(KeyboardInterrupt), remembered_interrupts():
        interrupt(reached)
    assert not reached


def test_an_interrupt_of_an_earlier_run_is_forgotten(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), remembered_interrupts():
        interrupt([])
    module = Deaf()
    module.batches = 5
    with remembered_interrupts():
        make_trainer(CPU, tmp_path, "fit").fit(module)
    assert module.batches == 5 + 9
