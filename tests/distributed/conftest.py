"""Where the processes of a test module have run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def worlds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the test's own file has left in a folder, started as a program: it forks, which threads of pytest forbid."""
    folder = tmp_path_factory.mktemp("worlds")
    run = subprocess.run(
        [sys.executable, str(request.path), str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=500,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    return folder
