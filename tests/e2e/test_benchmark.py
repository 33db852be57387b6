"""The benchmark command, on tiny scenes."""

import json
from pathlib import Path
from typing import Any

import pytest

from aach_lightning.benchmark.__main__ import INCOMPLETE, main
from aach_lightning.evaluation.result import Result


@pytest.fixture
def benchmark_run(scenes: tuple[str, ...], tmp_path: Path) -> Any:
    def run(*arguments: str) -> int:
        paths = [f"paths.{name}={tmp_path / name}" for name in ("store", "cache")]
        return main(["--to", str(tmp_path / "to"), *scenes, *paths, *arguments])

    return run


def test_cards_tables_and_a_second_start(
    benchmark_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--methods", "aach,hag,mainstay", "seed=0,1")
    assert benchmark_run(*arguments) == 0
    files = sorted((tmp_path / "to" / "cards").glob("*.json"))
    cards = [json.loads(path.read_text()) for path in files]
    # two directions, two seeds: clean, noise, AACH and its white-box reference, and two methods
    assert len(cards) == 2 * 2 * 6
    results = {path.parent.name: Result.load(path) for path in (tmp_path / "to" / "runs").glob("*/result.json")}
    assert len(results) == 6
    for card in cards:
        if card["method"] != "mainstay":
            continue
        (result,) = [it for name, it in results.items() if name.startswith("mainstay") and it.seed == card["seed"]]
        row = result.row(card["row"]["direction"], "attack")
        assert row is not None
        assert (card["row"]["map"], card["row"]["needs"], card["row"]["labels"]) == (row.map, "weights", True)
    table = (tmp_path / "to" / "table.md").read_text()
    assert table in capsys.readouterr().out
    assert [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")] == [
        "method",
        "clean",
        "noise",
        "aach",
        "aach, white box",
        "hag",
        "mainstay",
    ]
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.safetensors")}
    assert benchmark_run(*arguments) == 0
    assert (tmp_path / "to" / "table.md").read_text() == table
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.safetensors")} == times


def test_one_failure_does_not_stop_the_others(
    benchmark_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from aach_lightning import cli

    measure = cli.measure

    def failing(config: Any) -> None:
        if config.attack.name == "hag":
            raise RuntimeError("no luck")
        measure(config)

    monkeypatch.setattr(cli, "measure", failing)
    assert benchmark_run("--methods", "aach,hag,mainstay") == INCOMPLETE
    assert "failed: hag: no luck" in capsys.readouterr().err
    methods = {path.name.split("-")[0] for path in (tmp_path / "to" / "cards").iterdir()}
    assert methods == {"clean", "noise", "aach", "aach__white_box", "mainstay"}
    (error,) = (tmp_path / "to" / "runs").glob("hag-*/error.txt")
    assert error.read_text().endswith("RuntimeError: no luck\n")


def test_a_mistake_is_told_before_anything_runs(
    benchmark_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark_run("--methods", "aach", "attack.steps=0") == 1
    assert "attack.steps=0" in capsys.readouterr().err
    assert not (tmp_path / "to").exists()
