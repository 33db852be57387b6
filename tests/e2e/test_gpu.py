"""The same commands on GPUs; skipped where there is none."""

from typing import Any

import pytest
import torch

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]


@pytest.mark.parametrize(
    "overrides",
    [
        ("trainer=gpu",),
        ("trainer=gpu", "trainer.precision=bf16-mixed"),
        pytest.param(
            ("trainer=ddp", "trainer.accelerator=gpu", f"trainer.devices={max(2, torch.cuda.device_count())}"),
            marks=pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs for NCCL"),
        ),
    ],
)
def test_a_gpu_finds_what_the_cpu_finds(
    launcher: Any, first: Any, scenes: tuple[str, ...], overrides: tuple[str, ...]
) -> None:
    run = launcher.run("attack.py", (*scenes, *overrides), f"gpu-{len(overrides)}")
    assert run.status == 0, run.errors
    assert run.result["queries"] == first.result["queries"]
    for row, other in zip(run.result["rows"], first.result["rows"], strict=True):
        assert row["map"] == pytest.approx(other["map"], abs=0.1), row["query"]
        assert row["linf"] <= {"I2T": 8 / 255, "T2I": 0.1}[row["direction"]] + 1e-6
