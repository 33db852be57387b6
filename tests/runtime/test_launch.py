import pytest

from aach_lightning.config.schema import RunConfig, TrainerConfig
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.launch import is_first_launched, run_in_processes

SUBMITIT = {"SUBMITIT_LOCAL_GLOBALID": "0", "SUBMITIT_LOCAL_LOCALID": "0", "SUBMITIT_LOCAL_JOB_ID": "7"}
TORCHRUN = {"RANK": "0", "LOCAL_RANK": "0", "TORCHELASTIC_RUN_ID": "none"}
SLURM = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "7"}


def configured(devices: int = 1, num_nodes: int = 1) -> RunConfig:
    return RunConfig(trainer=TrainerConfig("cpu", devices, num_nodes, "32-true", True))


def never(config: RunConfig) -> None:
    pytest.fail("it was run")


@pytest.mark.parametrize(
    ("environment", "size"),
    [(SUBMITIT, "SUBMITIT_LOCAL_NTASKS"), (SLURM, "SLURM_STEP_NUM_TASKS"), (TORCHRUN, "WORLD_SIZE")],
)
@pytest.mark.parametrize(("devices", "num_nodes"), [(1, 1), (3, 1), (2, 2)])
def test_processes_that_nobody_asked_for_are_refused(
    environment: dict[str, str], size: str, devices: int, num_nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above all two processes that both do the work of one."""
    for name, value in {**environment, size: "2"}.items():
        monkeypatch.setenv(name, value)
    said = rf"devices={devices}, trainer\.num_nodes={num_nodes}: .* 2 processes \({size}\), it must be .*="
    with pytest.raises(ConfigError, match=f"{said}{devices * num_nodes}"):
        run_in_processes(configured(devices, num_nodes), never)


@pytest.mark.parametrize(
    "environment",
    [
        {**SUBMITIT, "SUBMITIT_LOCAL_NTASKS": "1"},
        {**SLURM, "SLURM_NTASKS": "2"},
        {**TORCHRUN, "WORLD_SIZE": "1"},
        {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"},  # of another program than torchrun
        {},
    ],
)
def test_one_process_is_run_as_it_is(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    got: list[RunConfig] = []
    run_in_processes(configured(), got.append)
    assert len(got) == 1


def test_several_machines_need_a_launcher() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.num_nodes=2: .*torchrun, hydra/launcher=slurm or srun"):
        run_in_processes(configured(2, 2), never)


@pytest.mark.parametrize(("number", "first"), [("0", True), ("1", False)])
def test_who_is_first(number: str, first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_first_launched()
    for name, value in {**SLURM, "SLURM_PROCID": number, "SLURM_STEP_NUM_TASKS": "2"}.items():
        monkeypatch.setenv(name, value)
    assert is_first_launched() is first


def test_torchrun_within_srun_counts_its_own_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """`srun torchrun` is one task a machine, and several processes on each."""
    step = {**SLURM, "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}
    for name, value in {**step, **TORCHRUN, "RANK": "2", "WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=r"4 processes \(WORLD_SIZE\), it must be .*=2"):
        run_in_processes(configured(2), never)
