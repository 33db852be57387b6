"""`trainer=ddp`: the command itself starts the other processes, and none of them outlives it."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to find child processes"),
]
DDP = ("trainer=ddp", "trainer.devices=2")
LONG = ("surrogate.epochs=2000",)


def children(pid: int) -> list[int]:
    """The processes that `multiprocessing` has spawned, but for its resource tracker."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    except OSError:
        return []


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_for(condition: Any, seconds: float = 120) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_two_processes_find_what_one_finds(together: Any, first: Any) -> None:
    assert together.status == 0, together.errors
    found, expected = together.lasting, first.lasting
    for result in (found, expected):
        del result["config"]["trainer"]
    assert found["queries"] == expected["queries"]
    assert found["config"] == expected["config"]
    for row, other in zip(found["rows"], expected["rows"], strict=True):
        # rounding of the weights may turn a bit of a code
        assert row["map"] == pytest.approx(other["map"], abs=0.02), row["query"]


def test_one_folder_and_a_quiet_terminal(together: Any) -> None:
    assert sorted(path.name for path in together.folder.iterdir()) == [
        ".hydra",
        "attack.log",
        "attack.png",
        "curves.json",
        "gallery.json",
        "result.json",
        "split.json",
    ]
    assert together.errors == ""
    assert together.output.count("reserved 40 queries") == 1
    assert together.output.count("MAP") < 5  # one table


@pytest.mark.parametrize("victim", ["other", "first"])
def test_a_killed_process_takes_the_others_along(
    launcher: Any, together: Any, scenes: tuple[str, ...], victim: str
) -> None:
    store = f"without {victim}"
    launcher.copy_target("together", store)
    process, folder = launcher.start("attack.py", (*scenes, *DDP, *LONG), store)
    checkpoints = launcher.store(store)
    assert wait_for(lambda: any(checkpoints.glob("surrogate/*.building/checkpoints/last.ckpt")))
    (other,) = children(process.pid)
    os.kill(other if victim == "other" else process.pid, signal.SIGKILL)
    run = launcher.finish(process, folder)
    assert wait_for(lambda: not alive(other), 30)
    if victim == "other":
        assert run.status == 2, run.errors
        assert "process 1 of 2 ended with exit status -9" in " ".join(run.errors.split())
    else:
        assert run.status == -signal.SIGKILL
    assert not (run.folder / "result.json").exists()
