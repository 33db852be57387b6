import time
from pathlib import Path

import numpy as np
import pytest

from aach_lightning.runtime.stopwatch import Stopwatch, peak_memory_mib


def test_stages_in_order_of_use_and_names_used_twice_add_up() -> None:
    watch = Stopwatch()
    for name in ("train", "attack", "train"):
        with watch.stage(name):
            time.sleep(0.03)
    assert list(watch.stages) == ["train", "attack"]
    assert 0.06 <= watch.stages["train"]["seconds"] < 5
    assert 0.03 <= watch.stages["attack"]["seconds"] < watch.stages["train"]["seconds"] + 5


def test_further_numbers_of_a_stage_are_kept_with_it() -> None:
    watch = Stopwatch()
    with watch.stage("attack") as numbers:
        numbers["item_steps_per_second"] = 12.5
    with watch.stage("report"):
        pass
    assert watch.stages["attack"]["item_steps_per_second"] == 12.5
    assert set(watch.stages["attack"]) == {"seconds", "peak_memory_mib", "item_steps_per_second"}
    assert set(watch.stages["report"]) == {"seconds", "peak_memory_mib"}


def test_failing_stage_is_timed_too() -> None:
    watch = Stopwatch()
    with pytest.raises(RuntimeError), watch.stage("broken"):
        raise RuntimeError
    assert watch.stages["broken"]["seconds"] >= 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="compares with Linux's own count")
def test_peak_memory_is_in_mebibytes() -> None:
    block = np.ones(2**22)
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    kibibytes = int(lines["VmHWM"].split()[0])
    assert peak_memory_mib() == pytest.approx(kibibytes / 1024, rel=0.05)
    del block
