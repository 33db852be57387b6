import os

import pytest

from aach_lightning.runtime.processes import spawning


def started() -> int | None:
    """Exit status of a process that this one starts."""
    process = spawning().Process(target=os.getpid)
    process.start()
    process.join()
    return process.exitcode


def test_a_process_starts_and_ends() -> None:
    assert started() == 0


def test_a_worker_of_joblib_can_start_processes() -> None:
    joblib = pytest.importorskip("joblib", reason="needs the extra joblib")
    assert joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(started)() for _ in range(2)) == [0, 0]
