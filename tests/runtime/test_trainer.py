import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from aach_lightning.config.schema import TrainerConfig
from aach_lightning.data.dataset import EpochShuffle
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.trainer import ReseedEachEpoch, checkpoint_callbacks, fit, make_trainer

CPU = TrainerConfig(accelerator="cpu", devices=1, num_nodes=1, precision="32-true", deterministic=True)
EPOCHS = 4
SCORES = (0.2, 0.9, 0.5, 0.4)  # the second epoch is the best


class Module(pl.LightningModule):
    """Dropout and momentum: what a resumed run must restore."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 1))

    def training_step(self, batch: list[Tensor]) -> Tensor:
        if os.environ.get("SLOWLY"):
            time.sleep(0.02)
        loss: Tensor = (self.net(batch[0]) - batch[1]).square().mean()
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("score", SCORES[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 0.05)


class Data(pl.LightningDataModule):
    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        generator = torch.Generator().manual_seed(1)
        inputs = torch.randn(24, 4, generator=generator)
        assert self.trainer is not None
        order = EpochShuffle(24, 3, self.trainer.current_epoch)
        return DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), 4, sampler=order, generator=generator)


def train(folder: Path, *callbacks: pl.Callback, epochs: int = EPOCHS, monitor: str | None = "score") -> Module:
    torch.manual_seed(99)
    module = Module()
    kept = checkpoint_callbacks(folder, monitor)
    trainer = make_trainer(CPU, folder, "training", epochs, [ReseedEachEpoch(7), *callbacks, *kept])
    fit(trainer, module, Data(), folder)
    return module


def equal(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def epoch_of(path: Path) -> int:
    return int(torch.load(path, weights_only=True)["epoch"])


class Watch(pl.Callback):
    """After each epoch the epochs that the two files hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: list[tuple[int, int]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch:
            self.found.append((epoch_of(self.folder / "last.ckpt"), epoch_of(self.folder / "best.ckpt")))


class StopAt(pl.Callback):
    """Ends the run in the middle of an epoch, as an error would."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.at = (epoch, batch)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: object) -> None:
        if (trainer.current_epoch, args[-1]) == self.at:
            raise RuntimeError("stopped")


class Epochs(pl.Callback):
    def __init__(self) -> None:
        self.seen: list[int] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seen.append(trainer.current_epoch)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Module:
    return train(tmp_path_factory.mktemp("whole"))


def test_last_is_written_every_epoch_and_best_only_when_better(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    train(tmp_path, watch)
    assert watch.found == [(0, 0), (1, 1), (2, 1)]
    assert epoch_of(tmp_path / "last.ckpt") == EPOCHS - 1
    assert epoch_of(tmp_path / "best.ckpt") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_without_a_monitor_there_is_no_best(tmp_path: Path) -> None:
    train(tmp_path, monitor=None, epochs=2)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert epoch_of(tmp_path / "last.ckpt") == 1


def test_training_repeats_whatever_the_global_seed_was(tmp_path: Path, uninterrupted: Module) -> None:
    again = train(tmp_path)
    assert equal(uninterrupted, again)
    assert not equal(Module(), again)


@pytest.mark.parametrize("at", [(1, 0), (2, 3), (3, 5)])
def test_resumed_run_ends_with_the_same_bits(tmp_path: Path, uninterrupted: Module, at: tuple[int, int]) -> None:
    with pytest.raises(RuntimeError, match="stopped"):
        train(tmp_path, StopAt(*at))
    epochs = Epochs()
    assert equal(train(tmp_path, epochs), uninterrupted)
    assert epochs.seen == list(range(at[0], EPOCHS))


def test_run_after_a_kill_ends_with_the_same_bits(tmp_path: Path, uninterrupted: Module) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__, str(tmp_path)],
        env={**os.environ, "SLOWLY": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "last.ckpt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    epochs = Epochs()
    assert equal(train(tmp_path, epochs), uninterrupted)
    assert epochs.seen
    assert epochs.seen[0] >= 1


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty", "no state", "no epoch"])
def test_damaged_checkpoint_restarts_with_a_warning(
    tmp_path: Path, uninterrupted: Module, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path, epochs=2)
    path = tmp_path / "last.ckpt"
    whole = path.read_bytes()
    if damage == "no state":
        torch.save({"epoch": 1}, path)
    elif damage == "no epoch":
        torch.save({"state_dict": {}}, path)
    else:
        path.write_bytes({"truncated": whole[: len(whole) // 2], "garbage": b"\x00garbage" * 99, "empty": b""}[damage])
    epochs = Epochs()
    with caplog.at_level(logging.WARNING, "aach_lightning"):
        again = train(tmp_path, epochs)
    assert "starting from the first epoch" in caplog.text
    assert epochs.seen == list(range(EPOCHS))
    assert equal(again, uninterrupted)
    assert epoch_of(path) == EPOCHS - 1


class Signals(pl.Callback):
    """What would answer which signal."""

    def __init__(self) -> None:
        self.found: list[object] = []

    def on_train_batch_end(self, *args: object) -> None:
        self.found.append([signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)])

    on_predict_batch_end = on_train_batch_end


class Predictor(Module):
    def predict_step(self, batch: list[Tensor]) -> Tensor:
        found: Tensor = self.net(batch[0])
        return found


@pytest.fixture
def bypassed() -> Iterator[Callable[..., None]]:
    """A launcher's own answer to SIGTERM."""

    def bypass(number: int, frame: object) -> None:
        pass

    before = signal.signal(signal.SIGTERM, bypass)
    yield bypass
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("cluster", [{}, {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_JOB_NAME": "attack"}])
def test_signals_and_tasks_of_a_cluster_are_not_lightnings(
    tmp_path: Path, cluster: dict[str, str], bypassed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cluster.items():  # of a batch script that asks for two tasks and does not use srun
        monkeypatch.setenv(name, value)
    signals = Signals()
    train(tmp_path, signals, epochs=1)
    data = DataLoader(TensorDataset(torch.zeros(4, 4)), 2)
    make_trainer(CPU, tmp_path, "predicting", callbacks=[signals]).predict(Predictor(), data)
    assert signals.found == [[bypassed, signal.SIG_DFL, signal.SIG_DFL]] * (6 + 2)
    assert signal.getsignal(signal.SIGTERM) is bypassed


def test_srun_on_the_path_is_no_reason_to_warn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "srun"
    program.touch(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    train(tmp_path / "run", epochs=1)  # a warning would be an error here


@pytest.mark.parametrize(("name", "value"), [("accelerator", "abacus"), ("precision", "3-bit")])
def test_hardware_that_there_is_not(tmp_path: Path, name: str, value: str) -> None:
    values = {**vars(CPU), name: value}
    with pytest.raises(ConfigError, match=f"{name}={value}"):
        make_trainer(TrainerConfig(**values), tmp_path, "training")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_gpu_on_a_machine_without_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.accelerator=gpu"):
        make_trainer(TrainerConfig(**{**vars(CPU), "accelerator": "gpu"}), tmp_path, "training")


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]))
