"""Whole runs by one, two and three processes: the number of processes is no hyperparameter.

The processes are forks of one script that has imported the libraries, told who they are as submitit tells it.
"""

import json
import multiprocessing
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file
from torch import Tensor, distributed

from aach_lightning import cli
from aach_lightning.config.schema import register_schemas
from aach_lightning.runtime import ranks
from aach_lightning.runtime.curves import read_rows
from aach_lightning.runtime.launch import run_in_processes
from aach_lightning.runtime.run import checked_config
from tests.conftest import CONF, TINY

WORLDS = (1, 2, 3)
# 40 train pairs: two batches of 19 and one of 2, which is smaller than three processes
IMAGES = (
    *("target.batch_size=19", "surrogate.batch_size=11", "surrogate.epochs=3", "target.epochs=3"),
    "evaluation.trace=[1]",
)
FEATURES = (
    "target.image_net.frozen=true",
    "surrogate.image_net.frozen=true",
    "surrogate.augmentation={flip: false, zoom: 0.0, noise: 0.0}",
    "logger=csv",
)
ENSEMBLE = (
    *("surrogate.seeds=2", "surrogate.adversarial.epsilon=2", "budget.selection=coverage"),
    *("attack.modality=image", "evaluation.white_box=false"),
)
SEARCHING = ("attack=square", "attack.queries=60", "evaluation.trace=[]")

pytestmark = [
    pytest.mark.skipif(not distributed.is_gloo_available(), reason="needs torch with gloo"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork"),
    pytest.mark.timeout(600),
]


def configured(folder: Path, store: str, processes: int, *overrides: str) -> Any:
    paths = [f"paths.store={folder / store}", f"paths.cache={folder / 'cache'}"]
    output = f"paths.output={folder / 'output' / store}"
    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return checked_config(
            compose("attack", [*TINY, "trainer=ddp", f"trainer.devices={processes}", *paths, output, *overrides])
        )


def process(rank: int, size: int, port: int, run: Callable[[int], None], report: Path) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "SUBMITIT_LOCAL_GLOBALID": str(rank),
        "SUBMITIT_LOCAL_LOCALID": str(rank),
        "SUBMITIT_LOCAL_NTASKS": str(size),
        "SUBMITIT_LOCAL_JOB_ID": str(port),
    }
    sys.stdout = sys.stderr = (report / f"{rank}.txt").open("w")
    try:
        run(rank)
        outcome = ""
    except Exception as error:
        traceback.print_exc()
        outcome = f"{type(error).__name__}: {error}"
    (report / f"{rank}.json").write_text(json.dumps(outcome))


def run_world(folder: Path, name: str, size: int, run: Callable[[int], None]) -> None:
    report = folder / "reports" / f"{name}-{size}"
    report.mkdir(parents=True)
    fork = multiprocessing.get_context("fork")
    port = int.from_bytes(os.urandom(2), "little")
    processes = [fork.Process(target=process, args=(rank, size, port, run, report)) for rank in range(size)]
    for each in processes:
        each.start()
    for each in processes:
        each.join(120)
        if each.exitcode is None:
            each.kill()


def attack(folder: Path, store: str, size: int, *overrides: str) -> Callable[[int], None]:
    return lambda rank: run_in_processes(configured(folder, store, size, *overrides), cli.attack)


def fail_second(folder: Path, store: str) -> Callable[[int], None]:
    """The second process fails while the first one waits for it."""

    def main(config: Any) -> None:
        if ranks.rank() == 1:
            raise ZeroDivisionError("the cause")
        ranks.barrier()

    return lambda rank: run_in_processes(configured(folder, store, 2), main)


def copied(folder: Path, source: str, store: str, *stages: str) -> None:
    for stage in stages:
        shutil.copytree(folder / source / stage, folder / store / stage)


def run_worlds(folder: Path) -> None:
    for size in WORLDS:
        run_world(folder, "images", size, attack(folder, f"images-{size}", size, *IMAGES))
    for size in WORLDS[:2]:
        run_world(folder, "features", size, attack(folder, f"features-{size}", size, *FEATURES))
    copied(folder, "images-1", "crafting-3", "target", "surrogate")  # from the same weights: the same bits
    run_world(folder, "crafting", 3, attack(folder, "crafting-3", 3, *IMAGES))
    for size in WORLDS[:2]:
        copied(folder, "images-1", f"searching-{size}", "target")
        run_world(folder, "searching", size, attack(folder, f"searching-{size}", size, *IMAGES, *SEARCHING))
    for size in WORLDS[:2]:
        copied(folder, "images-1", f"ensemble-{size}", "target")
        run_world(folder, "ensemble", size, attack(folder, f"ensemble-{size}", size, *IMAGES, *ENSEMBLE))
    copied(folder, "images-1", "damaged", "target")
    (key,) = (path.name for path in (folder / "damaged" / "target").iterdir() if path.is_dir())
    (folder / "damaged" / "ledger").mkdir()
    (folder / "damaged" / "ledger" / f"{key}.ledger").write_bytes(b"no ledger" * 50)
    run_world(folder, "damaged", 2, attack(folder, "damaged", 2, *IMAGES))
    run_world(folder, "seeds", 2, lambda rank: attack(folder, "seeds", 2, f"seed={rank}")(rank))
    run_world(folder, "count", 2, attack(folder, "count", 3))
    run_world(folder, "second", 2, fail_second(folder, "second"))


def outcomes(folder: Path, name: str, size: int) -> list[str]:
    files = [folder / "reports" / f"{name}-{size}" / f"{rank}.json" for rank in range(size)]
    return [json.loads(file.read_text()) if file.exists() else "no end" for file in files]


def tensors(folder: Path, store: str, stage: str, file: str) -> list[dict[str, Tensor]]:
    return [load_file(path) for path in sorted((folder / store / stage).glob(f"*/{file}.safetensors"))]


def result(folder: Path, store: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "output" / store / "result.json").read_text())
    return {key: value for key, value in found.items() if key not in ("stages", "config")}


MANY = [("images", 2), ("images", 3), ("features", 2)]


@pytest.mark.parametrize(("name", "size"), [("images", 1), ("features", 1), *MANY])
def test_every_process_ends_well(worlds: Path, name: str, size: int) -> None:
    assert outcomes(worlds, name, size) == [""] * size


@pytest.mark.parametrize(("name", "size"), MANY)
@pytest.mark.parametrize("stage", ["target", "surrogate"])
def test_equal_weights(worlds: Path, name: str, size: int, stage: str) -> None:
    (one,), (many,) = (tensors(worlds, f"{name}-{count}", stage, "network") for count in (1, size))
    assert one.keys() == many.keys()
    for key, values in one.items():
        torch.testing.assert_close(many[key], values, rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize(("name", "size"), MANY)
def test_training_moved_the_weights(worlds: Path, name: str, size: int) -> None:
    """So that equal weights mean equal training: two stages of different seeds and data are further apart."""
    (target,), (surrogate,) = (tensors(worlds, f"{name}-{size}", stage, "network") for stage in ("target", "surrogate"))
    for key, values in target.items():
        if values.ndim > 1:
            assert float((values - surrogate[key]).abs().max()) > 1e-2, key


@pytest.mark.parametrize(("name", "size"), MANY)
def test_equal_queries_answers_and_measurements(worlds: Path, name: str, size: int) -> None:
    one, many = result(worlds, f"{name}-1"), result(worlds, f"{name}-{size}")
    assert many["queries"] == one["queries"]
    assert one["queries"]["spent_pairs"] == 30
    (first,), (other,) = (tensors(worlds, f"{name}-{count}", "surrogate", "answers") for count in (1, size))
    assert all(torch.equal(first[key], other[key]) for key in ("image_codes", "text_codes"))
    assert [(row["direction"], row["query"]) for row in many["rows"]] == [
        (row["direction"], row["query"]) for row in one["rows"]
    ]
    for found, expected in zip(many["rows"], one["rows"], strict=True):
        for key in ("map", "drop", "distance", "linf", "rms"):
            # rounding of the weights may turn a bit of a code
            assert found[key] == pytest.approx(expected[key], abs=0.02), (found["query"], key)


def test_from_equal_weights_come_equal_bits(worlds: Path) -> None:
    assert outcomes(worlds, "crafting", 3) == [""] * 3
    one, many = (tensors(worlds, store, "attack", "delta") for store in ("images-1", "crafting-3"))
    assert len(one) == len(many) == 6  # of images and texts: the attack, its bound, the attack after one step
    for expected, found in zip(one, many, strict=True):
        assert torch.equal(found["delta"], expected["delta"])
        assert float(found["delta"].abs().max()) > 0
    assert result(worlds, "crafting-3") == result(worlds, "images-1")


def test_members_that_learn_from_adversaries_and_chosen_pairs(worlds: Path) -> None:
    assert [outcomes(worlds, "ensemble", size) for size in (1, 2)] == [[""], ["", ""]]
    (one,), (two,) = (tensors(worlds, f"ensemble-{size}", "surrogate", "network") for size in (1, 2))
    assert {name.split(".")[2] for name in one if name.startswith("image.members.")} == {"0", "1"}
    for key, values in one.items():
        # a sign of an adversary's gradient may turn by rounding
        torch.testing.assert_close(two[key], values, rtol=1e-3, atol=1e-3, msg=lambda text, key=key: f"{key}: {text}")
    (first,), (other,) = (tensors(worlds, f"ensemble-{size}", "surrogate", "answers") for size in (1, 2))
    assert all(torch.equal(first[key], other[key]) for key in ("image_codes", "text_codes"))
    assert result(worlds, "ensemble-2")["queries"] == result(worlds, "ensemble-1")["queries"]
    assert result(worlds, "ensemble-1")["queries"]["spent_pairs"] == 30


def test_only_the_first_process_searches(worlds: Path) -> None:
    assert [outcomes(worlds, "searching", size) for size in (1, 2)] == [[""], ["", ""]]
    one, two = (tensors(worlds, f"searching-{size}", "attack", "delta") for size in (1, 2))
    assert len(one) == 2
    for expected, found in zip(one, two, strict=True):
        assert all(torch.equal(found[key], expected[key]) for key in ("delta", "distance", "queries"))
    assert result(worlds, "searching-2") == result(worlds, "searching-1")
    ledgers = [path.stat().st_size for path in sorted(worlds.glob("searching-*/ledger/*.ledger"))]
    assert len(ledgers) == 2
    assert ledgers[0] == ledgers[1]


def test_equal_curves_written_once_and_over_all_items(worlds: Path) -> None:
    one, many = (worlds / "output" / f"features-{size}" / "curves" for size in (1, 2))
    names = sorted(str(path.relative_to(one)) for path in one.rglob("*.csv"))
    assert names == sorted(str(path.relative_to(many)) for path in many.rglob("*.csv"))
    assert len(names) == 6
    for name in names:
        expected, found = read_rows(one / name), read_rows(many / name)
        assert [list(row) for row in found] == [list(row) for row in expected]
        losses = [key for key in expected[0] if key.endswith("/loss")]
        for row, other in zip(found, expected, strict=True):
            assert row["step"] == other["step"]
            for key in losses:
                if key in other:
                    assert row[key] == pytest.approx(other[key], rel=1e-3)


def test_one_output_tree(worlds: Path) -> None:
    assert sorted(path.name for path in (worlds / "output" / "images-3").iterdir()) == [
        "attack.png",
        "curves.json",
        "gallery.json",
        "result.json",
        "split.json",
    ]
    assert not list(worlds.glob("images-3/*/*.building"))


def test_what_goes_wrong_when_the_first_process_asks_reaches_all(worlds: Path) -> None:
    found = outcomes(worlds, "damaged", 2)
    assert found[0] == found[1]
    assert found[0].startswith("Ledger")


def test_the_traceback_that_is_kept_is_the_cause(worlds: Path) -> None:
    found = outcomes(worlds, "second", 2)
    assert found[1] == "ZeroDivisionError: the cause"
    # all that the first process knows is a lost connection, closed or reset by the peer
    assert "gloo/transport" in found[0]
    assert "ZeroDivisionError" not in found[0]
    assert (worlds / "output" / "second" / "error.txt").read_text().endswith("ZeroDivisionError: the cause\n")


def test_different_configurations_are_refused_by_all(worlds: Path) -> None:
    found = outcomes(worlds, "seeds", 2)
    assert found[0] == found[1]
    assert found[0].startswith("ConfigError")
    assert "seed is 0 in process 0 and 1 in process 1" in found[0]


def test_another_number_of_processes_than_configured_is_refused(worlds: Path) -> None:
    found: Sequence[str] = outcomes(worlds, "count", 2)
    assert all("trainer.devices=3" in text and "started 2 processes" in text for text in found)


if __name__ == "__main__":
    run_worlds(Path(sys.argv[1]))
