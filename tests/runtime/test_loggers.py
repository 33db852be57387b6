import csv
import json
import struct
import time
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import wandb
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from wandb.proto import wandb_internal_pb2

from aach_lightning.runtime.choices import LoggerName
from aach_lightning.runtime.loggers import stage_logger
from aach_lightning.runtime.schemas import LoggerConfig, TrainerConfig
from aach_lightning.runtime.trainer import make_trainer

CPU = TrainerConfig(accelerator="cpu", devices=1, num_nodes=1, precision="32-true", deterministic=True)
CONFIG = {"seed": 3, "attack": {"epsilon": 8.0, "diversity": {"smallest": 0.75}}}


class Curve(pl.LightningModule):
    """Logs the number of the step, halved."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(1, 1)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        self.log("half", self.global_step / 2)
        loss: Tensor = self.net(batch[0]).square().mean()
        return loss

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(TensorDataset(torch.ones(3, 1)))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


def log_stage(name: LoggerName, stage: str, folder: Path) -> None:
    with stage_logger(LoggerConfig(name, "a_project"), stage, folder, CONFIG) as logger:
        make_trainer(CPU, folder, stage, epochs=2, logger=logger).fit(Curve())


def test_none(tmp_path: Path) -> None:
    with stage_logger(LoggerConfig(LoggerName.none), "target", tmp_path / "absent", CONFIG) as logger:
        assert logger is None
    assert not (tmp_path / "absent").exists()


def test_csv_holds_the_curves_of_each_stage(tmp_path: Path) -> None:
    for stage in ("target", "surrogate"):
        log_stage(LoggerName.csv, stage, tmp_path)
        with (tmp_path / stage / "metrics.csv").open() as file:
            rows = {int(row["step"]): float(row["half"]) for row in csv.DictReader(file) if row["half"]}
        assert rows == {step: step / 2 for step in range(6)}


@pytest.fixture
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_RUN_ID", "WANDB_PROJECT", "WANDB_RUN_GROUP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "private"))


def finished_records(file: Path) -> list[wandb_internal_pb2.Record]:
    """W&B's service may write the end of an offline run after `finish` has returned."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = records(file)
        if any(record.HasField("exit") for record in found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"{file} has no end")


def records(file: Path) -> list[wandb_internal_pb2.Record]:
    """Read a run file: a header of 7 bytes, then LevelDB's log format (records cut at blocks of 32 KiB)."""
    data, position, found, open_record = file.read_bytes(), 7, [], b""
    while position + 7 <= len(data):
        rest = -position % 2**15
        if 0 < rest < 7:
            position += rest
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        open_record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            found.append(wandb_internal_pb2.Record.FromString(open_record))
            open_record = b""
    return found


@pytest.mark.usefixtures("_offline")
def test_wandb_offline_gives_each_stage_a_run_of_its_own(tmp_path: Path) -> None:
    stages = ("target", "surrogate")
    for stage in stages:
        log_stage(LoggerName.wandb_offline, stage, tmp_path / "logs")
        assert wandb.run is None
    files = list((tmp_path / "logs").rglob("run-*.wandb"))
    assert len(files) == 2
    runs = {}
    for file in files:
        content = finished_records(file)
        run = next(record.run for record in content if record.HasField("run"))
        runs[run.job_type] = run.run_id
        assert run.project == "a_project"
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        assert config["seed"] == 3
        assert config["attack"] == CONFIG["attack"]  # a dict, not its text
        history = [
            {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            for record in content
            if record.HasField("history")
        ]
        assert [row["half"] for row in history if "half" in row] == [0, 0.5, 1, 1.5, 2, 2.5]
    assert set(runs) == set(stages)
    assert len(set(runs.values())) == 2


@pytest.mark.usefixtures("_offline")
def test_wandb_run_is_closed_after_an_error(tmp_path: Path) -> None:
    def breaks() -> None:
        with stage_logger(LoggerConfig(LoggerName.wandb_offline), "target", tmp_path, CONFIG) as logger:
            assert logger is not None
            assert logger.experiment is not None
            assert wandb.run is not None
            raise RuntimeError("stage")

    with pytest.raises(RuntimeError, match="stage"):
        breaks()
    assert wandb.run is None
