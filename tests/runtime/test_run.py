import os
import re
import signal
from collections.abc import Callable
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from aach_lightning.config.schema import RunConfig, register_schemas
from aach_lightning.errors import AachError, CheckpointError, ConfigError, DataError, StoreError
from aach_lightning.runtime.run import STAMP, run, stamp_run, versions

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture(scope="module")
def composed() -> DictConfig:
    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("attack", ["paths.output=out"])


@pytest.fixture
def config(composed: DictConfig) -> DictConfig:
    return deepcopy(composed)


def never(config: RunConfig) -> None:
    pytest.fail("a mistaken configuration was run")


def fails(error: BaseException) -> Callable[[RunConfig], None]:
    def main(_: RunConfig) -> None:
        raise error

    return main


def ends(
    config: DictConfig, main: Callable[[RunConfig], None], capsys: pytest.CaptureFixture[str]
) -> tuple[object, str]:
    with pytest.raises(SystemExit) as caught:
        run(config, main)
    out, shown = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in shown
    return caught.value.code, shown


def test_main_gets_the_typed_configuration(config: DictConfig, capsys: pytest.CaptureFixture[str]) -> None:
    got: list[RunConfig] = []
    run(config, got.append)
    assert isinstance(got[0], RunConfig)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("kind", [ConfigError, DataError, StoreError, CheckpointError, AachError])
def test_error_ends_with_status_2_and_its_message(
    config: DictConfig, kind: type[AachError], capsys: pytest.CaptureFixture[str]
) -> None:
    message = "file [bold]x[/bold] has 3 bytes, data.root=/" + "long/" * 40 + "x.csv"
    status, shown = ends(config, fails(kind(message)), capsys)
    assert status == 2
    assert kind.__name__ in shown
    assert message in shown  # neither wrapped nor taken for markup


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("attack.epsilon", -1, "attack.epsilon=-1"),
        ("budget.pairs", 10**6, "budget.pairs=1000000"),
        ("seed", "???", "seed"),
        ("budget.pairs", "${nowhere}", "nowhere"),
        ("paths.store", "${oc.env:AACH_NOT_SET_ANYWHERE}", "AACH_NOT_SET_ANYWHERE"),
        ("budget.pairs", "${attack.name}", "aach"),  # leads to a text
        ("seed", "${seed}", "seed"),
    ],
)
def test_mistakes_in_the_configuration(
    config: DictConfig, key: str, value: object, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    OmegaConf.update(config, key, value)
    status, shown = ends(config, never, capsys)
    assert status == 2
    assert "ConfigError" in shown
    assert said in shown


def test_all_mistakes_are_shown_at_once(config: DictConfig, capsys: pytest.CaptureFixture[str]) -> None:
    for key in ("attack.epsilon", "attack.steps", "target.epochs"):
        OmegaConf.update(config, key, 0)
    status, shown = ends(config, never, capsys)
    assert status == 2
    assert all(
        re.search(rf"- {re.escape(key)}=0", shown) for key in ("attack.epsilon", "attack.steps", "target.epochs")
    )


def test_interrupt_ends_with_status_130(config: DictConfig, capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: RunConfig) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    status, shown = ends(config, main, capsys)
    assert status == 130
    assert "run the same command again" in shown


def test_interrupt_that_lightning_turned_into_an_exit(config: DictConfig, capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: RunConfig) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise SystemExit(1)  # noqa: B904 - without `from`, as Lightning does

    assert ends(config, main, capsys)[0] == 130


def test_other_exits_and_programming_errors_pass(config: DictConfig) -> None:
    with pytest.raises(SystemExit) as caught:
        run(config, fails(SystemExit(7)))
    assert caught.value.code == 7
    with pytest.raises(ZeroDivisionError):
        run(config, fails(ZeroDivisionError()))


def test_stamp_is_set_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STAMP, "before")  # so that monkeypatch takes it away again
    stamp_run()
    assert os.environ[STAMP] == "before"
    monkeypatch.delenv(STAMP)
    stamp_run()
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d_\d\d-\d\d-\d\d_{os.getpid()}", os.environ[STAMP])


@pytest.mark.parametrize(
    ("step", "stamp"),
    [
        ({"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"}, "slurm-7.0"),
        ({"SLURM_JOB_ID": "7", "SLURM_STEP_NUM_TASKS": "2"}, "slurm-7"),
        ({"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1"}, None),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2"}, None),  # a batch script
    ],
)
def test_processes_of_a_step_share_a_stamp(
    step: dict[str, str], stamp: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STAMP, "")
    monkeypatch.delenv(STAMP)
    for name, value in step.items():
        monkeypatch.setenv(name, value)
    stamp_run()
    assert (os.environ[STAMP] == stamp) if stamp else os.environ[STAMP].endswith(f"_{os.getpid()}")


def test_versions_are_those_installed() -> None:
    found = versions()
    assert found["torch"] == version("torch")
    assert found["pytorch-lightning"] == version("pytorch-lightning")
    assert found["python"].startswith("3.")
