"""Methods with networks of their own by one and by two processes: the number of processes is no hyperparameter."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed

from aach_lightning import cli
from aach_lightning.runtime.launch import run_in_processes
from tests.distributed.test_stages import configured, outcomes, run_world

SHARED = ("target.batch_size=19", "target.image_net.hidden=24", "target.text_net.hidden=24", "stage=target")
KINDS = {
    "acmr": SHARED,
    "cmhh": SHARED,
    "cpah": SHARED,
    "dadh": SHARED,
    "dchmt": SHARED,
    "ssah": (*SHARED, "target.method.label_hidden=32"),
}

pytestmark = [
    pytest.mark.skipif(not distributed.is_gloo_available(), reason="needs torch with gloo"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork"),
    pytest.mark.timeout(600),
]


def train(folder: Path, store: str, size: int, *overrides: str) -> Callable[[int], Any]:
    return lambda rank: run_in_processes(configured(folder, store, size, *overrides), cli.train)


def run_worlds(folder: Path) -> None:
    for name, overrides in KINDS.items():
        for size in (1, 2):
            run_world(folder, name, size, train(folder, f"{name}-{size}", size, f"target={name}", *overrides))


def weights(worlds: Path, name: str, size: int) -> dict[str, torch.Tensor]:
    assert outcomes(worlds, name, size) == [""] * size
    (file,) = (worlds / f"{name}-{size}" / "target").glob("*/network.safetensors")
    return load_file(file)


@pytest.mark.parametrize("name", KINDS)
def test_equal_weights(worlds: Path, name: str) -> None:
    one, two = (weights(worlds, name, size) for size in (1, 2))
    assert one.keys() == two.keys()
    for key, values in one.items():
        torch.testing.assert_close(two[key], values, rtol=1e-3, atol=2e-4, msg=lambda text, key=key: f"{key}: {text}")


def test_training_moved_the_weights(worlds: Path) -> None:
    """So that equal weights mean equal training: from one start, two methods end further apart."""
    one, other = weights(worlds, "dadh", 1), weights(worlds, "ssah", 1)
    for key, values in one.items():
        if values.ndim > 1:
            assert float((values - other[key]).abs().max()) > 1e-3, key


if __name__ == "__main__":
    run_worlds(Path(sys.argv[1]))
