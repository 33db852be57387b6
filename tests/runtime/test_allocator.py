import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COUNT = """
import resource, sys
from aach_lightning.runtime.processes import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
import torch

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.empty(50 * 2**20, dtype=torch.uint8).fill_(1)  # larger than what the C library ever keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(kept, faults())
"""


def counted(mode: str, **environment: str) -> tuple[str, int]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    own |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    run = subprocess.run([sys.executable, "-c", COUNT, mode], env=own, capture_output=True, text=True, check=True)
    kept, number = run.stdout.split()
    return kept, int(number)


@pytest.mark.skipif(
    sys.platform != "linux" or not os.confstr("CS_GNU_LIBC_VERSION"), reason="sets the allocator of the GNU C library"
)
def test_large_blocks_are_used_again() -> None:
    plain, (answer, kept) = counted("leave")[1], counted("keep")
    assert answer == "True"
    assert plain > 20 * 20  # at least 20 huge pages of 2 MiB each time
    assert kept < plain / 10


@pytest.mark.parametrize(
    "environment", [{"MALLOC_MMAP_THRESHOLD_": "4194304"}, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"}]
)
def test_the_environment_decides_first(environment: dict[str, str]) -> None:
    assert counted("keep", **environment)[0] == "False"


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from aach_lightning.runtime import processes

    monkeypatch.setattr(sys, "platform", "darwin")
    assert processes.keep_freed_memory() is False
    monkeypatch.setattr(sys, "platform", "linux")
    for name in list(os.environ):
        if name.startswith(("MALLOC_", "GLIBC_TUNABLES")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(processes.ctypes, "CDLL", lambda name: object())  # a C library without mallopt
    assert processes.keep_freed_memory() is False
