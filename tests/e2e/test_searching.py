"""Attacks that search, as a user starts them: no surrogate, and a count of their own at the door."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from aach_lightning.evaluation.result import Result

pytestmark = pytest.mark.timeout(400)
SEARCHES = ("nes", "square", "signhunter")
QUERIES = 125  # on 12 items: 10 each


@pytest.fixture(scope="module")
def runs(launcher: Any, scenes: tuple[str, ...]) -> dict[str, Any]:
    """In one store, where a target is trained by the first of them; then AACH."""
    commands = {
        **{name: (*scenes, f"attack={name}", f"attack.queries={QUERIES}") for name in SEARCHES},
        "again": (*scenes, "attack=square", f"attack.queries={QUERIES}"),
        "images": (*scenes, "attack=square", f"attack.queries={QUERIES}", "attack.modality=image"),
        "as many as pairs": (*scenes, "attack=square"),
        "too few": (*scenes, "attack=nes", "attack.queries=23"),
        "aach": scenes,
    }
    found = launcher.run_forked([("attack.py", arguments, "searched") for arguments in commands.values()])
    return dict(zip(commands, found, strict=True))


@pytest.fixture(scope="module")
def store(launcher: Any, runs: dict[str, Any]) -> Path:
    folder: Path = launcher.store("searched")
    return folder


@pytest.mark.parametrize("name", SEARCHES)
def test_a_row_says_what_the_search_has_spent(runs: dict[str, Any], name: str) -> None:
    run = runs[name]
    assert run.status == 0, run.errors
    result = Result.load(run.folder / "result.json")
    assert [(row.direction, row.query) for row in result.rows] == [
        (direction, query) for direction in ("I2T", "T2I") for query in ("clean", "noise", "attack")
    ]
    spent = 0
    for row in result.rows:
        if row.query != "attack":
            assert (row.pairs_queried, row.items_queried) == (0, 0)
            continue
        assert (row.needs, row.labels, row.pairs_queried) == ("codes", False, 0)
        assert 12 * 2 < row.items_queried <= 12 * 10
        assert 0 < row.linf <= {"I2T": 8 / 255, "T2I": 0.1}[row.direction] + 1e-6
        assert f"{name.upper()}, {row.items_queried} queries" in run.output
        spent += row.items_queried
    assert result.queries["spent_items"] == spent
    assert result.queries["spent_pairs"] == 0
    assert result.surrogate == {}
    assert result.config["attack"]["queries"] == QUERIES


def test_a_search_moves_codes_farther_than_noise(runs: dict[str, Any]) -> None:
    rows = {(row["direction"], row["query"]): row["distance"] for row in runs["signhunter"].result["rows"]}
    for direction in ("I2T", "T2I"):
        assert rows[direction, "attack"] > rows[direction, "noise"], direction


def test_a_finished_search_is_only_shown(runs: dict[str, Any]) -> None:
    assert runs["again"].status == 0, runs["again"].errors
    assert runs["again"].lasting == runs["square"].lasting
    assert "finished before" in runs["again"].output


def test_one_direction_is_found_where_both_were_searched(runs: dict[str, Any]) -> None:
    run = runs["images"]
    assert run.status == 0, run.errors
    assert run.result["rows"] == runs["square"].result["rows"][:3]


def test_the_default_is_as_many_queries_as_pairs(runs: dict[str, Any]) -> None:
    run = runs["as many as pairs"]
    assert run.status == 0, run.errors
    assert run.result["config"]["attack"]["queries"] == run.result["config"]["budget"]["pairs"] == 40
    assert [row["items_queried"] for row in run.result["rows"] if row["query"] == "attack"] == [36, 36]


def test_fewer_queries_than_a_search_can_use_are_refused(runs: dict[str, Any]) -> None:
    assert runs["too few"].status == 2
    assert (
        "attack.queries=23: must be at least 24: the own codes of evaluation.queries=12 items" in runs["too few"].errors
    )


def test_searches_train_no_surrogate_and_take_nothing_from_the_budget_of_pairs(
    runs: dict[str, Any], first: Any, store: Path
) -> None:
    assert runs["aach"].status == 0, runs["aach"].errors
    assert runs["aach"].lasting == first.lasting
    assert len(list(store.glob("surrogate/*/artifact.json"))) == 1
    assert len(list(store.glob("target/*/artifact.json"))) == 1


def test_deltas_lie_in_the_store(store: Path) -> None:
    found = [load_file(file) for file in store.glob("attack/*/delta.safetensors")]
    searched = [tensors for tensors in found if "queries" in tensors]
    assert len(searched) == 2 * 4
    for tensors in searched:
        assert tensors["delta"].dtype == np.float32
        assert tensors["distance"].shape == tensors["queries"].shape == (12,)
        assert int(tensors["queries"].max()) <= 10
