"""Processes that a launcher starts, one a device: torchrun, submitit's local executor, and srun's environment."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import LIMIT, ROOT, Run

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]
TWO = ("trainer=ddp", "trainer.devices=2")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


@contextmanager
def started(
    launcher: Any, arguments: Sequence[str], output: Path, before: Sequence[str] = (), **environment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """A command that ends with the test, whatever happens."""
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, *before, "attack.py", *arguments, f"paths.cache={launcher.folder / 'cache'}"],
            cwd=ROOT,
            env={**launcher.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def same_findings(folder: Path, first: Run) -> None:
    """What one process finds, but for a bit of a code that rounding may have turned."""
    found, expected = Run(0, "", "", folder).lasting, first.lasting
    assert found["queries"] == expected["queries"]
    assert {**found["config"], "trainer": None} == {**expected["config"], "trainer": None}
    assert len(found["rows"]) == len(expected["rows"])
    for row, other in zip(found["rows"], expected["rows"], strict=True):
        assert row["map"] == pytest.approx(other["map"], abs=0.02), row["query"]


def first_task(controller: int) -> int:
    """The process of rank 0 that a job's controller has started."""
    children = Path(f"/proc/{controller}/task/{controller}/children").read_text().split()
    return next(int(child) for child in children if b"GLOBALID=0\0" in Path(f"/proc/{child}/environ").read_bytes())


@pytest.mark.skipif(find_spec("submitit") is None, reason="needs the extra slurm")
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to find child processes")
def test_a_sweep_in_which_a_job_is_preempted(
    launcher: Any, first: Run, scenes: tuple[str, ...], tmp_path: Path
) -> None:
    sweep, store = tmp_path / "sweep", tmp_path / "store"
    command = ("-m", "hydra/launcher=slurm_local", *scenes, *TWO, "seed=0,1")
    paths = (f"paths.store={store}", f"hydra.sweep.dir={sweep}/${{oc.env:AACH_STAMP}}")
    with started(launcher, (*command, *paths), tmp_path / "output") as process:
        end = time.monotonic() + LIMIT
        log = None
        while log is None or "queries" not in log.read_text():  # job 0 is in the middle of its work
            assert time.monotonic() < end, (tmp_path / "output").read_text()
            assert process.poll() is None, (tmp_path / "output").read_text()
            log = next(sweep.glob("*/0/attack.log"), None)
            time.sleep(0.02)
        (folder,) = sweep.iterdir()
        jobs = sorted(int(path.name) for path in (folder / ".submitit").iterdir() if path.name.isdigit())
        os.kill(first_task(jobs[0]), signal.SIGUSR2)
        assert process.wait(LIMIT) == 0, (tmp_path / "output").read_text()
    assert len(jobs) == 2
    assert sorted(path.name for path in folder.iterdir()) == [".submitit", "0", "1", "multirun.yaml"]
    assert not list(folder.glob("*/error.txt"))
    assert "Requeued job" in log.read_text()
    same_findings(folder / "0", first)
    assert Run(0, "", "", folder / "1").result["queries"]["spent_pairs"] == 40


def test_two_processes_of_torchrun(launcher: Any, together: Run, scenes: tuple[str, ...], tmp_path: Path) -> None:
    """They write into one folder what the processes find that the command itself starts, bit for bit; then a sweep."""
    output, folders = tmp_path / "output", tmp_path / "folders"
    paths = (
        f"paths.store={tmp_path / 'store'}",
        *(f"hydra.{x}.dir={folders}/${{oc.env:AACH_STAMP}}" for x in ("run", "sweep")),
    )
    with started(launcher, (*scenes, *TWO, *paths), output, before=TORCHRUN) as process:
        assert process.wait(LIMIT) == 0, output.read_text()
    (folder,) = folders.iterdir()
    assert Run(0, "", "", folder).lasting == together.lasting
    assert output.read_text().count("reserved 40 queries") == 1  # one process talks
    with started(launcher, ("-m", *scenes, *TWO, *paths, "seed=0,0"), output, before=TORCHRUN) as process:
        assert process.wait(LIMIT) == 0, output.read_text()
    (sweep,) = set(folders.iterdir()) - {folder}
    for job in ("0", "1"):
        assert Run(0, "", "", sweep / job).lasting == together.lasting


def test_two_processes_of_one_srun(launcher: Any, first: Run, scenes: tuple[str, ...], tmp_path: Path) -> None:
    step = {
        "SLURM_JOB_ID": "4242",
        "SLURM_STEP_ID": "1",
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_JOB_NAME": "attack",
        "SLURM_NODELIST": "localhost",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NODEID": "0",
    }
    paths = (f"paths.store={tmp_path / 'store'}", f"hydra.run.dir={tmp_path / 'runs'}/${{oc.env:AACH_STAMP}}")
    outputs = [tmp_path / f"output {rank}" for rank in (0, 1)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                started(
                    launcher,
                    (*scenes, *TWO, *paths),
                    output,
                    **{**step, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)},
                )
            )
            for rank, output in enumerate(outputs)
        ]
        ended = [process.wait(LIMIT) for process in processes]
    assert ended == [0, 0], [output.read_text() for output in outputs]
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name == "slurm-4242.1"
    same_findings(folder, first)
    assert outputs[1].read_text() == ""  # one process talks
    assert outputs[0].read_text().count("reserved 40 queries") == 1
