import csv
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from aach_lightning.config.schema import TrainerConfig
from aach_lightning.runtime.curves import Curves, Row, read_rows, write_rows
from aach_lightning.runtime.trainer import checkpoint_callbacks, fit, make_trainer

CPU = TrainerConfig(accelerator="cpu", devices=1, num_nodes=1, precision="32-true", deterministic=True)
LAST, BEST = ModelCheckpoint(monitor=None), ModelCheckpoint(monitor="target/map")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [{key: text for key, text in row.items() if text} for row in csv.DictReader(file)]


def test_rows_wait_for_the_checkpoint_from_which_a_killed_run_goes_on() -> None:
    handed: list[Row] = []
    curves = Curves("target", [], lambda rows, before: handed.extend(rows[before:]))
    for step in range(3):
        curves.log_metrics({"loss": step / 2}, step)
    curves.log_metrics({"map": 0.5}, 2)
    curves.after_save_checkpoint(BEST)
    assert handed == []
    curves.after_save_checkpoint(LAST)
    expected: list[Row] = [{"step": step, "loss": step / 2} for step in range(3)] + [{"step": 2, "map": 0.5}]
    assert handed == expected
    curves.log_metrics({"images_per_second": 9.0}, 2)  # of the end of the epoch, after its checkpoint
    expected.append({"step": 2, "images_per_second": 9.0})
    assert handed == expected
    curves.log_metrics({"loss": 1.5}, 3)
    curves.finalize("failed")
    assert handed == expected
    curves.finalize("success")
    assert handed == [*expected, {"step": 3, "loss": 1.5}]


class Curve(pl.LightningModule):
    """Three steps an epoch; logs its step, halved, and at the end of each validation the number of the epoch."""

    def __init__(self, dies_at: int | None) -> None:
        super().__init__()
        self.net, self.dies_at = nn.Linear(1, 1), dies_at

    def training_step(self, batch: list[Tensor], batch_index: int) -> Tensor:
        if self.global_step == self.dies_at:
            raise KilledError
        self.log("half", self.global_step / 2)
        loss: Tensor = self.net(batch[0]).square().mean()
        return loss

    def validation_step(self, batch: list[Tensor], batch_index: int) -> None:
        self.log("validated", float(self.current_epoch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


class Ones(pl.LightningDataModule):
    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(TensorDataset(torch.ones(3, 1)))

    val_dataloader = train_dataloader


class KilledError(Exception):
    """Ends a training as a kill does: nobody cleans up."""


def train(folder: Path, handed: list[Row], dies_at: int | None = None, dies_writing: int | None = None) -> None:
    file = folder / "target.csv"

    def write(rows: Sequence[Row], before: int) -> None:
        if rows[-1]["step"] == dies_writing:
            raise KilledError
        write_rows(rows, file)
        handed.extend(rows[before:])

    curves = Curves("target", read_rows(file), write)
    callbacks = checkpoint_callbacks(folder / "checkpoints", "validated")
    fit(make_trainer(CPU, folder, "", 4, callbacks, curves), Curve(dies_at), Ones(), folder / "checkpoints")


@pytest.mark.parametrize("deaths", [[], [(7, None)], [(3, None), (4, None), (11, None)], [(None, 2)], [(None, 8)]])
def test_a_training_that_is_killed_hands_on_every_step_once(
    tmp_path: Path, deaths: list[tuple[int | None, int | None]]
) -> None:
    handed: list[Row] = []
    for step, writing in deaths:  # in the middle of an epoch, or between a checkpoint and the rows that it covers
        with pytest.raises(KilledError):
            train(tmp_path, handed, step, writing)
    train(tmp_path, handed)
    for rows in (handed, read_rows(tmp_path / "target.csv")):
        assert [(row["step"], row["half"]) for row in rows if "half" in row] == [(n, n / 2) for n in range(12)]
        assert [row["validated"] for row in rows if "validated" in row] == [0, 1, 2, 3]
        steps = [row["step"] for row in rows]
        assert steps == sorted(steps)


def test_a_logger_that_comes_with_the_restart_has_the_curve_from_its_beginning(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(tmp_path, [], 5)
    (tmp_path / "target.csv").unlink()  # another job goes on
    callbacks = checkpoint_callbacks(tmp_path / "checkpoints", "validated")
    with pytest.raises(KilledError):
        fit(make_trainer(CPU, tmp_path, "", 4, callbacks), Curve(7), Ones(), tmp_path / "checkpoints")
    handed: list[Row] = []
    train(tmp_path, handed)
    found = {row["step"]: row["half"] for row in handed if "half" in row}
    assert found == {step: step / 2 for step in (0, 1, 2, 6, 7, 8, 9, 10, 11)}  # one epoch had no logger


def test_a_file_is_plain_csv_and_columns_may_come_later(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"step": 0, "target/loss": 0.1},
        {"step": 0, "epoch": 0, "target/map": 1 / 3},
        {"step": 1, "target/loss": math.nan},
    ]
    write_rows(rows, tmp_path / "a.csv", tmp_path / "b" / "c.csv")
    assert read(tmp_path / "a.csv") == [
        {"step": "0", "target/loss": "0.1"},
        {"step": "0", "epoch": "0", "target/map": "0.3333333333333333"},
        {"step": "1", "target/loss": "nan"},
    ]
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b" / "c.csv").read_bytes()
    assert read_rows(tmp_path / "a.csv")[:2] == rows[:2]
    assert read_rows(tmp_path / "absent.csv") == []


def test_a_training_that_starts_anew_replaces_its_rows() -> None:
    written: list[list[Row]] = []
    earlier: list[Row] = [{"step": step, "loss": 1.0} for step in range(6)]
    curves = Curves("target", earlier, lambda rows, before: written.append(list(rows)))
    for step in range(2, 4):
        curves.log_metrics({"loss": 2.0}, step)
    curves.finalize("success")
    expected = [(0, 1.0), (1, 1.0), (2, 2.0), (3, 2.0)]
    assert [[(row["step"], row["loss"]) for row in rows] for rows in written] == [expected]
