"""Adversarial training by one and by two processes: the number of processes is no hyperparameter."""

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
from tests.distributed.test_stages import configured, copied, outcomes, run_world

SHARED = (
    "target.batch_size=19",
    "target.adversarial.lr=5e-3",
    "target.adversarial.epochs=2",
    "target.adversarial.steps=2",
    "stage=target",
)
KINDS = {
    "pgd": ("target/adversarial=pgd", *SHARED),
    "cmla": ("target/adversarial=cmla", *SHARED, "target.adversarial.pairs=25", "target/defence=median"),
}

pytestmark = [
    pytest.mark.skipif(not distributed.is_gloo_available(), reason="needs torch with gloo"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork"),
    pytest.mark.timeout(600),
]


def train(folder: Path, store: str, size: int, *overrides: str) -> Callable[[int], Any]:
    return lambda rank: run_in_processes(configured(folder, store, size, *overrides), cli.train)


def run_worlds(folder: Path) -> None:
    run_world(folder, "clean", 1, train(folder, "clean", 1, SHARED[0], "stage=target"))
    for name, overrides in KINDS.items():
        for size in (1, 2):
            copied(folder, "clean", f"{name}-{size}", "target")
            run_world(folder, name, size, train(folder, f"{name}-{size}", size, *overrides))


@pytest.mark.parametrize("name", KINDS)
def test_equal_weights_and_codes(worlds: Path, name: str) -> None:
    found = []
    for size in (1, 2):
        assert outcomes(worlds, name, size) == [""] * size
        (hardened,) = (worlds / f"{name}-{size}" / "hardened").glob("*/")
        found.append(load_file(hardened / "network.safetensors"))
    (clean,) = (load_file(path) for path in (worlds / "clean" / "target").glob("*/network.safetensors"))
    one, two = found
    assert one.keys() == two.keys() == clean.keys()
    for key, values in one.items():
        torch.testing.assert_close(two[key], values, rtol=1e-3, atol=2e-4, msg=lambda text, key=key: f"{key}: {text}")
        if values.ndim > 1:
            assert float((values - clean[key]).abs().max()) > 1e-3, key


def test_the_defended_index_is_the_same(worlds: Path) -> None:
    indices = []
    for size in (1, 2):
        (folder,) = (worlds / f"cmla-{size}" / "defended").glob("*/")
        indices.append(load_file(folder / "index.safetensors")["image_codes"])
    assert float((indices[0] != indices[1]).double().mean()) < 0.02


if __name__ == "__main__":
    run_worlds(Path(sys.argv[1]))
