import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WANTED = "AACH_TEST_SLURM"
PROGRAMS = ("slurmctld", "slurmd", "srun", "sbatch", "munged")


@pytest.mark.skipif(WANTED not in os.environ, reason=f"takes minutes: set {WANTED}=1")
@pytest.mark.timeout(1800)
def test_jobs_of_a_real_slurm() -> None:
    places = os.pathsep.join((os.environ["PATH"], "/usr/sbin"))
    missing = [program for program in PROGRAMS if shutil.which(program, path=places) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(PROGRAMS)}; missing: {', '.join(missing) or 'root'}")
    script = Path(__file__).with_name("run.sh")
    run = subprocess.run(
        ["bash", str(script)], env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
