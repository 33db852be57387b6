"""Splits that no shuffle made: from a file, so many of each label, and the parts of a pack."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from aach_lightning.data.splits import Split

pytestmark = pytest.mark.timeout(400)

SIZES = ("data.pairs=160", "budget.pairs=20", "evaluation.white_box=false", "attack.modality=image")
PER_LABEL = ("protocol=random", "split.rule=per_label", "split.query=1", "split.train=2")


def rows(split: Split) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    return sorted(split.query.tolist()), sorted(split.train.tolist()), sorted(split.database.tolist())


def write_pack(path: Path) -> None:
    """Parts with three colours; the train part repeats pairs of the database."""
    rng = np.random.default_rng(0)
    label = np.arange(70) % 3
    colours = np.array([[220, 40, 40], [40, 220, 40], [40, 40, 220]])
    images = np.clip(colours[label][:, :, None, None] + rng.integers(-40, 41, (70, 3, 32, 32)), 0, 255)
    texts = (rng.random((70, 12)) < 0.2).astype(np.uint8)
    texts[np.arange(70), label] = 1
    values = {}
    for part, chosen in (("te", range(15)), ("tr", range(20, 50)), ("db", range(15, 70))):
        for role, array in (("I", images.astype(np.uint8)), ("T", texts), ("L", np.eye(3, dtype=np.uint8)[label])):
            values[f"{role}_{part}"] = array[list(chosen)]
    savemat(path, values)


@pytest.fixture(scope="module")
def runs(launcher: Any, small: tuple[str, ...]) -> dict[str, Any]:
    folder = launcher.folder / "splits"
    folder.mkdir()
    parts = {"indexQuery": np.arange(1, 21), "indexTrain": np.arange(61, 101), "indexDatabase": np.arange(21, 161)}
    savemat(folder / "paper.mat", {"param": parts})  # rows as MATLAB counts
    write_pack(folder / "pack.mat")
    pack = ("data=container", f"data.path={folder / 'pack.mat'}", "budget.pairs=20", *SIZES[2:])
    common = (*small, *SIZES)
    first = {
        "file": ("attack.py", (*common, f"split.file={folder / 'paper.mat'}"), "splits"),
        "per label": ("attack.py", (*common, *PER_LABEL), "splits"),
        "pack": ("attack.py", (*small, *pack, "protocol=pack"), "splits"),
        "too few queries": ("attack.py", (*common, *PER_LABEL, "evaluation.queries=101"), "splits"),
        "unknown data": ("attack.py", (*common, "protocol=mith"), "splits"),
        "wrong file": ("attack.py", (*common, f"split.file={folder / 'pack.mat'}"), "splits"),
    }
    found = dict(zip(first, launcher.run_forked(list(first.values())), strict=True))
    saved = found["file"].folder / "split.json"
    again = ("attack.py", (*common, f"split.file={saved}"), "splits")
    (found["saved"],) = launcher.run_forked([again])
    return found


def test_a_split_file(runs: dict[str, Any]) -> None:
    run = runs["file"]
    assert run.status == 0, run.errors
    data = run.result["data"]
    assert (data["query"], data["train"], data["database"], data["attacked"]) == (20, 40, 140, 12)
    assert data["protocol"] == "file"
    split = Split.load(run.folder / "split.json")
    assert rows(split) == (list(range(20)), list(range(60, 100)), list(range(20, 160)))
    assert data["split_hash"] == split.fingerprint


def test_the_saved_split_gives_the_same_run(runs: dict[str, Any], launcher: Any) -> None:
    run = runs["saved"]
    assert run.status == 0, run.errors
    assert run.result["rows"] == runs["file"].result["rows"]
    assert run.result["data"] == runs["file"].result["data"]
    assert (run.folder / "split.json").read_bytes() == (runs["file"].folder / "split.json").read_bytes()


def test_so_many_of_each_label(runs: dict[str, Any]) -> None:
    run = runs["per label"]
    assert run.status == 0, run.errors
    data = run.result["data"]
    assert (data["query"], data["train"]) == (data["labels"], 2 * data["labels"])
    assert data["database"] == 160 - data["query"]
    assert run.result["queries"]["spent_pairs"] == 20


def test_the_parts_of_a_pack(runs: dict[str, Any]) -> None:
    run = runs["pack"]
    assert run.status == 0, run.errors
    split = Split.load(run.folder / "split.json")
    assert rows(split) == (list(range(15)), list(range(20, 50)), list(range(15, 70)))
    assert run.result["data"]["note"] == "Pooled from the pack's parts query (15), database (55). Split as the pack is."


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "too few queries",
            "evaluation.queries=101: attacked queries are the first of the query part: must be at most",
        ),
        (
            "unknown data",
            "split.dataset=scenes: protocol=mith knows the sizes of mirflickr25k, nuswide_tc21, mscoco: name",
        ),
        ("wrong file", "pack.mat: no query part among the keys found: I_te, T_te"),
    ],
)
def test_mistakes(runs: dict[str, Any], name: str, said: str) -> None:
    run = runs[name]
    assert run.status == 2, run.output + run.errors
    assert said in run.errors
    assert "Traceback" not in run.output + run.errors
    assert not (run.folder / "result.json").exists()


def test_what_is_saved_is_complete(runs: dict[str, Any]) -> None:
    content = json.loads((runs["pack"].folder / "split.json").read_text(encoding="utf-8"))
    assert set(content) == {"hash", "query", "train", "database"}
    assert runs["pack"].result["config"]["split"]["name"] == "pack"
