import csv
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import wandb
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from aach_lightning.config.choices import LoggerName
from aach_lightning.config.schema import LoggerConfig, TrainerConfig
from aach_lightning.errors import TrackingError
from aach_lightning.runtime.loggers import log_outcome, stage_logger, track
from aach_lightning.runtime.trainer import make_trainer
from aach_lightning.runtime.wandb_run import Job, Table, WandbRun, check_login, find_run, wanted_by_agent
from tests.wandb_file import leave_account, run_files, written_run

CPU = TrainerConfig(accelerator="cpu", devices=1, num_nodes=1, precision="32-true", deterministic=True)
NONE, CSV, ONLINE, OFFLINE = (LoggerConfig(name, "a_project") for name in LoggerName)
CONFIG = {"seed": 3, "attack": {"epsilon": 8.0, "diversity": {"smallest": 0.75}}}


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    leave_account(monkeypatch, tmp_path / "private")
    yield
    wandb.teardown()


def job(folder: Path, output: str = "output") -> Job:
    return Job("surrogate", "M=30 seed=3", "a_sweep", CONFIG, folder / "memory", folder / output)


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


def train(stage: str, folder: Path) -> None:
    with stage_logger(stage) as logger:
        make_trainer(CPU, folder, stage, epochs=2, logger=logger).fit(Curve())


def test_none_leaves_nothing_behind(tmp_path: Path) -> None:
    with track(NONE, job(tmp_path), at_once=True), stage_logger("target") as logger:
        assert logger is None
    assert not list(tmp_path.iterdir())


def test_outside_of_a_job_there_is_no_logger() -> None:
    with stage_logger("target") as logger:
        assert logger is None
    log_outcome({"a": 1.0}, {})


def test_csv_holds_the_curves_of_each_stage(tmp_path: Path) -> None:
    with track(CSV, job(tmp_path)):
        for stage in ("target", "surrogate"):
            train(stage, tmp_path / "lightning")
        log_outcome({"a": 1.0}, {})
    for stage in ("target", "surrogate"):
        with (tmp_path / "output" / "curves" / f"{stage}.csv").open() as file:
            rows = {int(row["step"]): float(row["half"]) for row in csv.DictReader(file) if row["half"]}
        assert rows == {step: step / 2 for step in range(6)}
    assert not (tmp_path / "output" / "wandb").exists()


def test_one_wandb_run_holds_all_stages_of_a_job_each_over_its_own_steps(tmp_path: Path) -> None:
    with track(OFFLINE, job(tmp_path)):
        for stage in ("target", "surrogate"):
            train(stage, tmp_path / "lightning")
        log_outcome({"result/I2T/attack/map": 0.25}, {})
    (file,) = run_files(tmp_path)
    assert file.is_relative_to(tmp_path / "output" / "wandb")
    read = written_run(file)
    told = (read.run.project, read.run.job_type, read.run.run_group, read.run.display_name, read.exit_code)
    assert told == ("a_project", "surrogate", "a_sweep", "M=30 seed=3", 0)
    assert read.config["seed"] == 3
    assert read.config["attack"] == CONFIG["attack"]  # a dict, not its text
    for stage in ("target", "surrogate"):
        assert read.curve(f"{stage}/half", f"{stage}/step") == [(step, step / 2) for step in range(6)]
        assert read.axes[f"{stage}/*"] == f"{stage}/step"
    assert read.summary["result/I2T/attack/map"] == 0.25
    assert [row["_step"] for row in read.history] == list(range(len(read.history)))


def test_a_wandb_run_starts_with_the_first_unfinished_stage_or_at_once(tmp_path: Path) -> None:
    with track(OFFLINE, job(tmp_path)):
        log_outcome({"a": 1.0}, {})  # every stage was found finished
    assert not list(tmp_path.iterdir())
    with track(OFFLINE, job(tmp_path), at_once=True):
        (_,) = run_files(tmp_path)


def test_a_job_that_fails_closes_its_run_with_exit_code_1(tmp_path: Path) -> None:
    def fails() -> None:
        with track(OFFLINE, job(tmp_path), at_once=True):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    (file,) = run_files(tmp_path)
    assert written_run(file).exit_code == 1
    with stage_logger("target") as logger:
        assert logger is None


def begin(folder: Path, output: str) -> None:
    """A job that dies after one stage and half of another."""
    with track(OFFLINE, job(folder, output), at_once=True):
        train("target", folder / "lightning")
        with stage_logger("surrogate") as logger:
            assert logger is not None
            logger.log_metrics({"surrogate/loss": 4.0}, 0)
            logger.finalize("success")
            raise RuntimeError("dies")


def test_a_job_that_goes_on_keeps_its_id_and_its_curves(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="dies"):
        begin(tmp_path, "first")
    with track(OFFLINE, job(tmp_path, "second"), at_once=True), stage_logger("surrogate") as logger:
        assert logger is not None
        logger.log_metrics({"surrogate/loss": 3.0}, 1)
    first, second = (written_run(run_files(tmp_path / output)[0]) for output in ("first", "second"))
    assert first.run.run_id == second.run.run_id
    assert json.loads((tmp_path / "memory" / "run.json").read_text())["id"] == first.run.run_id
    assert (first.exit_code, second.exit_code) == (1, 0)
    # W&B cannot join two offline folders of one run: the second one must hold everything
    assert second.curve("target/half", "target/step") == [(step, step / 2) for step in range(6)]
    assert second.curve("surrogate/loss", "surrogate/step") == [(0, 4.0), (1, 3.0)]
    assert second.axes["target/*"] == "target/step"
    for stage in ("target", "surrogate"):
        kept, shown = (tmp_path / folder / "curves" / f"{stage}.csv" for folder in ("memory", "second"))
        assert kept.read_bytes() == shown.read_bytes()


def test_another_job_is_another_run(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with track(OFFLINE, job(tmp_path / name), at_once=True):
            pass
    assert len({written_run(file).run.run_id for file in run_files(tmp_path)}) == 2


def test_tables_with_images_lie_in_the_folder_of_the_run(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    rows = [["●  \ud800 text", None, image], ["b", 0.5, 255 - image]]
    with track(OFFLINE, job(tmp_path), at_once=True):
        log_outcome({}, {"result/gallery": Table(("name", "psnr", "image"), rows)})
    read = written_run(run_files(tmp_path)[0])
    (files,) = read.artifacts
    table = json.loads(files["result/gallery.table.json"].read_text())
    assert table["columns"] == ["name", "psnr", "image"]
    for row, expected in zip(table["data"], rows, strict=True):
        assert row[:2] == expected[:2]
        picture = files[row[2]["path"]]
        assert picture.is_relative_to(tmp_path / "output" / "wandb")
        with Image.open(picture) as opened:
            assert opened.format == "PNG"
            assert np.array_equal(np.asarray(opened), expected[2])
    assert any(row.get("result/gallery/_type") == "table-file" for row in read.history)


def test_where_a_run_is_to_be_seen(tmp_path: Path) -> None:
    assert find_run(OFFLINE, tmp_path / "memory") is None
    with track(OFFLINE, job(tmp_path, "a folder"), at_once=True):
        pass
    folder = run_files(tmp_path)[0].parent
    assert find_run(OFFLINE, tmp_path / "memory") == f"wandb sync '{folder}'"
    assert find_run(CSV, tmp_path / "memory") is None
    (tmp_path / "memory" / "run.json").write_text('{"id": "a", "folder": "gone", "url": "https://there"}')
    assert find_run(ONLINE, tmp_path / "memory") == "https://there"


def test_the_loss_of_a_run_does_not_end_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def lost(*arguments: Any, **named: Any) -> None:
        raise ConnectionResetError("Connection lost")

    monkeypatch.setattr(wandb.Run, "log", lost)
    with track(OFFLINE, job(tmp_path)), caplog.at_level(logging.WARNING, "aach_lightning"):
        train("target", tmp_path / "lightning")
        train("surrogate", tmp_path / "lightning")
    (message,) = [record.getMessage() for record in caplog.records if record.name.startswith("aach_lightning")]
    assert "ConnectionResetError: Connection lost" in message
    assert f"wandb sync {run_files(tmp_path)[0].parent}" in message
    assert (tmp_path / "output" / "curves" / "surrogate.csv").exists()
    assert written_run(run_files(tmp_path)[0]).exit_code == 0  # it was closed all the same


def test_a_run_that_the_server_knows_is_told_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Known:
        summary: ClassVar = {"target/step": 3, "target/loss": 0.5}
        logged: ClassVar[list[dict[str, float]]] = []

        def log(self, row: dict[str, float]) -> None:
            self.logged.append(row)

    monkeypatch.setattr("aach_lightning.runtime.wandb_run._start", lambda config, job: Known())
    run = WandbRun(ONLINE, job(tmp_path))
    run.repeat("target", [{"step": step, "target/loss": 1.0} for step in (2, 3, 4)])
    run.repeat("attack/image", [{"step": 0, "attack/image/loss": 2.0}])
    assert Known.logged == [
        {"target/step": 4, "target/loss": 1.0},
        {"attack/image/step": 0, "attack/image/loss": 2.0},
    ]


def test_without_a_key_there_is_an_error_and_no_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question"))
    for config in (NONE, CSV, OFFLINE, ONLINE):  # the last one with WANDB_MODE=offline
        check_login(config)
    wandb.teardown()
    monkeypatch.delenv("WANDB_MODE")
    for config in (NONE, CSV, OFFLINE):
        check_login(config)
    with pytest.raises(TrackingError, match=r"logger=wandb needs an API key.*`wandb login`.*logger=wandb_offline"):
        check_login(ONLINE)
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(TrackingError, match=r"(?i)logger=wandb: .*invalid.*`wandb login`"):
        check_login(ONLINE)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    check_login(ONLINE)


def test_a_run_that_cannot_start_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: Any, **named: Any) -> None:
        raise wandb.errors.CommError("run was deleted")

    monkeypatch.setattr(wandb, "init", refused)

    def start() -> None:
        with track(ONLINE, job(tmp_path), at_once=True):
            pytest.fail("must not begin")

    with pytest.raises(TrackingError, match=r"run was deleted.*logger=wandb_offline.*run\.json"):
        start()
    with stage_logger("target") as logger:
        assert logger is None


@pytest.mark.parametrize("name", LoggerName)
def test_a_sweeps_agent_wants_numbers_from_wandb_alone(name: LoggerName, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not wanted_by_agent(LoggerConfig(name))
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    assert wanted_by_agent(LoggerConfig(name)) == name.startswith("wandb")


def test_wandb_can_be_switched_off_by_its_own_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    wandb.teardown()
    check_login(ONLINE)
    with track(ONLINE, job(tmp_path), at_once=True):
        train("target", tmp_path / "lightning")
        log_outcome({"a": 1.0}, {"b": Table(("c",), [[1]])})
    assert find_run(ONLINE, tmp_path / "memory") is None
    assert not run_files(tmp_path)
    assert (tmp_path / "output" / "curves" / "target.csv").exists()
