"""A universal delta, edited texts and targeted attacks by one, two and three processes."""

import os
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed

from tests.distributed.test_stages import attack, copied, outcomes, result, run_world, tensors

WORLDS = (1, 3)  # three do not share the batches evenly; test_stages has two as well
UNIVERSAL = ("attack=universal", "attack.steps=6", "attack.step.size=0.05")
# texts are edited towards the code of a label, so that both are shared among the processes
FORMS = ("attack=dhta", "attack.text_form=edits", "attack.batch_size=4")

pytestmark = [
    pytest.mark.skipif(not distributed.is_gloo_available(), reason="needs torch with gloo"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork"),
    pytest.mark.timeout(600),
]


def run_worlds(folder: Path) -> None:
    for size in WORLDS:
        for name, overrides in (("universal", UNIVERSAL), ("forms", FORMS)):
            store = f"{name}-{size}"
            if store != "universal-1":
                copied(folder, "universal-1", store, "target", "surrogate")
            run_world(folder, name, size, attack(folder, store, size, *overrides))


@pytest.mark.parametrize("name", ["universal", "forms"])
@pytest.mark.parametrize("size", WORLDS)
def test_every_process_ends_well(worlds: Path, name: str, size: int) -> None:
    assert outcomes(worlds, name, size) == [""] * size


def test_one_delta_whatever_the_number_of_processes(worlds: Path) -> None:
    one, many = (tensors(worlds, f"universal-{count}", "universal", "delta") for count in WORLDS)
    assert len(one) == len(many) == 4
    for expected, found in zip(one, many, strict=True):
        step = 0.05 * (8 / 255 if expected["delta"].ndim == 4 else 0.1)
        assert float(expected["delta"].abs().max()) > 5 * step
        # Adam makes a whole step of a gradient that is almost 0, and whose sign is then one of rounding
        difference = (found["delta"] - expected["delta"]).abs()
        assert float((difference < 0.02 * step).float().mean()) > 0.98
        assert float(difference.mean()) < 0.02 * step


def test_equal_measurements(worlds: Path) -> None:
    one, many = result(worlds, "universal-1"), result(worlds, "universal-3")
    assert many["queries"] == one["queries"]
    for found, expected in zip(many["rows"], one["rows"], strict=True):
        for key in ("map", "distance", "linf", "rms"):
            # rounding of delta may turn a bit of a code
            assert found[key] == pytest.approx(expected[key], abs=0.02), (found["query"], key)


def test_edits_and_aims_are_the_same_bits(worlds: Path) -> None:
    one, many = (tensors(worlds, f"forms-{count}", "attack", "delta") for count in WORLDS)
    assert len(one) == len(many) == 4
    for expected, found in zip(one, many, strict=True):
        assert torch.equal(found["delta"], expected["delta"])
        assert bool(found["delta"].any())
    assert result(worlds, "forms-3") == result(worlds, "forms-1")
    words = [(worlds / "output" / f"forms-{count}" / "words.json").read_text() for count in WORLDS]
    assert words[0] == words[1]


if __name__ == "__main__":
    run_worlds(Path(sys.argv[1]))
