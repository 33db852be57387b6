"""Unsupervised targets by one and by two processes: similarities in a batch are those of the global batch."""

import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed

from aach_lightning import cli
from aach_lightning.runtime.launch import run_in_processes
from tests.distributed.test_stages import configured, outcomes, run_world

# 40 train pairs: two batches of 19 and one of 2
SHARED = ("target.batch_size=19", "target.epochs=3", "target.image_lr=0.01", "target.text_lr=0.01", "stage=target")
METHODS = ("djsrh", "jdsh", "dgcpn")

pytestmark = [
    pytest.mark.skipif(not distributed.is_gloo_available(), reason="needs torch with gloo"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork"),
    pytest.mark.timeout(600),
]


def run_worlds(folder: Path) -> None:
    for name in METHODS:
        for size in (1, 2):

            def train(_: int, name: str = name, size: int = size) -> None:
                run_in_processes(configured(folder, f"{name}-{size}", size, f"target={name}", *SHARED), cli.train)

            run_world(folder, name, size, train)
    run_world(
        folder,
        "start",
        1,
        lambda _: run_in_processes(
            configured(folder, "start", 1, "target.image_lr=1e-9", "target.text_lr=1e-9", "stage=target"), cli.train
        ),
    )


@pytest.mark.parametrize("name", METHODS)
def test_equal_weights(worlds: Path, name: str) -> None:
    stores = (f"{name}-1", f"{name}-2", "start")
    for size in (1, 2):
        assert outcomes(worlds, name, size) == [""] * size
    one, two, start = (
        load_file(path) for store in stores for path in (worlds / store / "target").glob("*/network.safetensors")
    )
    assert one.keys() == two.keys() == start.keys()
    for key, values in one.items():
        torch.testing.assert_close(two[key], values, rtol=1e-3, atol=2e-4, msg=lambda text, key=key: f"{key}: {text}")
        if values.ndim > 1:
            assert float((values - start[key]).abs().max()) > 1e-2, key


if __name__ == "__main__":
    run_worlds(Path(sys.argv[1]))
