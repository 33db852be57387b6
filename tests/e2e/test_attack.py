import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from aach_lightning.evaluation.exhibits import load_exhibits
from aach_lightning.evaluation.result import Result
from aach_lightning.evaluation.retrieval_curves import RetrievalCurves

pytestmark = pytest.mark.timeout(400)


def artifacts(store: Path, *stages: str) -> dict[str, str]:
    """Finished artifacts and their weights or deltas: path to hash and time of writing."""
    found = {}
    for stage in stages:
        for manifest in sorted((store / stage).glob("*/artifact.json")):
            for file in [manifest, *manifest.parent.glob("*.safetensors")]:
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                found[str(file.relative_to(store))] = f"{content} {file.stat().st_mtime_ns}"
    return found


def contents(store: Path, *stages: str) -> dict[str, str]:
    return {name: value.split()[0] for name, value in artifacts(store, *stages).items()}


def screen(text: str) -> list[str]:
    """Lines that stay on a terminal, without colours: what was written over is gone."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    return [line.rsplit("\r", 1)[-1].rstrip() for line in plain.replace("\r\n", "\n").splitlines()]


@pytest.fixture(scope="module")
def again(launcher: Any, first: Any, scenes: tuple[str, ...]) -> Any:
    """The same command on the same store, with what the store held before."""
    before = artifacts(launcher.store("first"), "target", "surrogate", "attack")
    return before, launcher.run("attack.py", scenes, "first")


@pytest.fixture(scope="module")
def from_empty_store(launcher: Any, first: Any, scenes: tuple[str, ...]) -> Any:
    return launcher.run("attack.py", scenes, "empty")


@pytest.fixture(scope="module")
def variants(launcher: Any, again: Any, from_empty_store: Any, scenes: tuple[str, ...]) -> dict[str, Any]:
    """Further runs on the first store."""
    names = {
        "epsilon": ("attack.py", (*scenes, "attack.epsilon=4"), "first"),
        "anchors": ("attack.py", (*scenes, "attack.query_anchor=true"), "first"),
        "no white box, images": (
            "attack.py",
            (*scenes, "evaluation.white_box=false", "attack.modality=image"),
            "first",
        ),
        "found": ("train.py", (*scenes, "stage=target"), "first"),
        "bfloat16": ("attack.py", (*scenes, "trainer.precision=bf16-mixed"), "bfloat16"),
    }
    return dict(zip(names, launcher.run_forked(list(names.values())), strict=True))


def test_the_first_run(first: Any) -> None:
    assert first.status == 0, first.output[-3000:]
    result = Result.load(first.folder / "result.json")
    assert [(row.direction, row.query) for row in result.rows] == [
        (direction, query) for direction in ("I2T", "T2I") for query in ("clean", "noise", "attack", "white_box")
    ]
    assert result.queries["budget_pairs"] == result.queries["spent_pairs"] == 40
    assert result.queries["spent_items"] == 0
    assert result.queries["evaluation_items"] == 2 * 3 * 12  # noise, attack, white box; clean codes are in the index
    for row in result.rows:
        assert 0 <= row.map <= 1
        assert row.pairs_queried == (40 if row.query == "attack" else 0)
        bound = {"I2T": 8 / 255, "T2I": 0.1}[row.direction]
        assert row.linf <= bound + 1e-6
        clean = result.row(row.direction, "clean")
        assert clean is not None
        assert row.drop == clean.map - row.map
        assert row.distance == 0 or row.query != "clean"
    assert result.data["attacked"] == 12
    assert result.data["database"] == 130
    assert result.config["attack"]["epsilon"] == 8.0
    assert "paths" not in result.config


def test_the_picture_and_the_split_lie_beside_the_result(first: Any) -> None:
    with Image.open(first.folder / "attack.png") as picture:
        picture.load()
        assert picture.format == "PNG"
    assert (first.folder / "split.json").is_file()
    assert len(load_exhibits(first.folder / "gallery.json")) == 4
    curves = RetrievalCurves.load(first.folder / "curves.json").curves
    assert [(it.direction, it.query) for it in curves] == [
        (row["direction"], row["query"]) for row in first.result["rows"]
    ]


def test_the_terminal_shows_tables_and_ends_with_where_they_lie(first: Any) -> None:
    lines = screen(first.output)
    text = "\n".join(lines)
    assert lines[-1] == f"picture: {first.folder / 'attack.png'}"
    assert lines[-2] == f"result:  {first.folder / 'result.json'}"
    assert not re.search(
        r"warning|deprecat|traceback|error|pytorch.lightning|tensorboard|GPU|TPU", text, re.IGNORECASE
    ), text
    table = lines[lines.index("image→text, ε 8/255") - 3 :]
    assert not any("…" in line for line in table)
    assert max(len(line) for line in table[:-2]) <= 80
    for row in first.result["rows"]:
        assert f" {row['map']:.3f}" in text


def test_a_command_without_a_terminal_is_as_quiet(again: Any) -> None:
    _, run = again
    assert run.status == 0, run.errors
    assert run.errors == ""
    assert not re.search(r"warning|deprecat|\x1b", run.output, re.IGNORECASE)


def test_the_same_command_again_builds_nothing_and_gives_the_same_result(first: Any, again: Any, launcher: Any) -> None:
    before, run = again
    assert run.lasting == first.lasting
    assert artifacts(launcher.store("first"), "target", "surrogate", "attack").items() >= before.items()
    assert {name.split("/")[0] for name in before} == {"target", "surrogate", "attack"}
    assert len({name.split("/")[1] for name in before}) == 1 + 1 + 4


def test_an_empty_store_gives_the_same_bits(first: Any, from_empty_store: Any, again: Any, launcher: Any) -> None:
    assert from_empty_store.status == 0, from_empty_store.errors
    assert from_empty_store.lasting == first.lasting
    built = contents(launcher.store("empty"), "target", "surrogate", "attack")
    expected = {name: value.split()[0] for name, value in again[0].items()}
    weights = [name for name in built if name.endswith(".safetensors")]
    assert {name: built[name] for name in weights} == {name: expected[name] for name in weights}
    assert set(built) == set(expected)


def test_another_epsilon_trains_nothing(variants: dict[str, Any], first: Any, again: Any, launcher: Any) -> None:
    run = variants["epsilon"]
    assert run.status == 0, run.errors
    before = {name: value for name, value in again[0].items() if not name.startswith("attack/")}
    assert artifacts(launcher.store("first"), "target", "surrogate") == before
    assert len({name.split("/")[1] for name in before}) == 2
    assert [row["linf"] <= 4 / 255 + 1e-6 for row in run.result["rows"][:4]] == [True] * 4
    assert run.result["rows"][1]["linf"] > 3.9 / 255
    assert run.result["rows"][0] == first.result["rows"][0]
    assert run.result["rows"][4:] == first.result["rows"][4:]  # texts have an epsilon of their own
    assert run.result["queries"]["spent_pairs"] == 40


def test_anchors_are_paid_for(variants: dict[str, Any], first: Any) -> None:
    run = variants["anchors"]
    assert run.status == 0, run.errors
    assert run.result["queries"]["spent_pairs"] == 40
    assert run.result["queries"]["spent_items"] == 24
    paid = {(row["direction"], row["query"]): row["items_queried"] for row in run.result["rows"]}
    assert {key: count for key, count in paid.items() if count} == {("I2T", "attack"): 12, ("T2I", "attack"): 12}
    assert "AACH, M = 40 + 12" in run.output
    clean = [row for row in run.result["rows"] if row["query"] in ("clean", "noise")]
    assert [row["map"] for row in clean] == [
        row["map"] for row in first.result["rows"] if row["query"] in ("clean", "noise")
    ]


def test_one_direction_without_the_white_box(variants: dict[str, Any], first: Any) -> None:
    run = variants["no white box, images"]
    assert run.status == 0, run.errors
    rows = run.result["rows"]
    assert [(row["direction"], row["query"]) for row in rows] == [
        ("I2T", "clean"),
        ("I2T", "noise"),
        ("I2T", "attack"),
    ]
    assert all(row["share_of_white_box"] is None for row in rows)
    assert [row["map"] for row in rows] == [row["map"] for row in first.result["rows"][:3]]
    assert set(run.result["chance"]) == {"I2T"}


def test_bfloat16_is_a_run_of_its_own_with_the_same_bounds(variants: dict[str, Any], first: Any) -> None:
    run = variants["bfloat16"]
    assert run.status == 0, run.errors
    assert run.result["queries"]["spent_pairs"] == 40
    for row, other in zip(run.result["rows"], first.result["rows"], strict=True):
        assert row["linf"] <= {"I2T": 8 / 255, "T2I": 0.1}[row["direction"]] + 1e-6
        assert row["map"] == pytest.approx(other["map"], abs=0.1), row["query"]


def test_train_finds_what_attack_has_built(variants: dict[str, Any], again: Any, launcher: Any) -> None:
    run = variants["found"]
    assert run.status == 0, run.errors
    folder = next(name for name in again[0] if name.startswith("target/")).split("/")[1]
    assert f"target: {launcher.store('first') / 'target' / folder}" in run.output
    assert "validation map i2t" in run.output


def test_train_builds_what_attack_would_find(again: Any, launcher: Any, scenes: tuple[str, ...], first: Any) -> None:
    run = launcher.run("train.py", (*scenes, "stage=surrogate"), "trained")
    assert run.status == 0, run.errors
    built = contents(launcher.store("trained"), "target", "surrogate", "attack")
    expected = {name: value.split()[0] for name, value in again[0].items() if not name.startswith("attack/")}
    assert set(built) == set(expected)
    weights = [name for name in built if name.endswith("safetensors")]
    assert len(weights) == 4
    assert {name: built[name] for name in weights} == {name: expected[name] for name in weights}
    for name in ("map_i2t", "target_map_t2i", "bit_agreement_image"):
        label = name.replace("_", " ")
        (shown,) = re.findall(rf"^ {label} +([\d.]+) *$", run.output, re.MULTILINE)
        assert shown == f"{first.result['surrogate'][name]:.3f}"


def test_deltas_stay_in_the_ball(from_empty_store: Any, launcher: Any) -> None:
    deltas = [load_file(file)["delta"] for file in launcher.store("empty").glob("attack/*/delta.safetensors")]
    assert sorted(delta.ndim for delta in deltas) == [2, 2, 4, 4]
    for delta in deltas:
        assert len(delta) == 12
        assert 0 < np.abs(delta).max() <= (8 / 255 if delta.ndim == 4 else 0.1) + 1e-6
