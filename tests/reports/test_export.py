import csv
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from aach_lightning.evaluation.result import Result
from aach_lightning.reports.collect import collect
from aach_lightning.reports.export import write_csv, write_parquet

Make = Callable[..., Result]
MAPS = {"I2T clean": 0.1 + 0.2, "I2T attack": 1 / 3, "T2I clean": 2 / 3, "T2I attack": 1e-17}


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_csv_and_parquet_read_back_equal(tmp_path: Path, run: Make) -> None:
    for seed, note in enumerate(('a, "quoted"\nsecond line', "写真; semicolon", None)):
        run(MAPS, seed=seed, attack__note=note, attack__flag=seed == 1).save(tmp_path / str(seed) / "result.json")
    frame = collect(tmp_path).frame
    write_csv(frame, tmp_path / "results.csv")
    assert write_parquet(frame, tmp_path / "results.parquet")
    stored = pd.read_parquet(tmp_path / "results.parquet")
    pd.testing.assert_frame_equal(stored, frame)
    cells = read(tmp_path / "results.csv")
    assert cells[0] == list(stored.columns)
    assert len(cells) == 1 + len(stored)
    for position, name in enumerate(stored.columns):
        kind = {"string": str, "Int64": int, "float64": float, "boolean": {"True": True, "False": False}.get}[
            str(stored[name].dtype)
        ]
        texts = [row[position] for row in cells[1:]]
        values = [None if pd.isna(value) else value for value in stored[name]]
        assert [kind(text) if text else None for text in texts] == values, name
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"results.csv", "results.parquet"}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", "-0.5"])
def test_text_cannot_become_a_formula(tmp_path: Path, text: str) -> None:
    frame = pd.DataFrame({"text": pd.Series([text, "a" + text, None], dtype="string"), "plain": [text, "b", "c"]})
    write_csv(frame, tmp_path / "table.csv")
    assert read(tmp_path / "table.csv") == [["text", "plain"], ["'" + text, "'" + text], ["a" + text, "b"], ["", "c"]]
    assert frame["text"].iloc[0] == text  # the table itself is left alone


@pytest.mark.parametrize("text", ["a\r=1", "a\r\n=1", "\r=1", 'a"b\n,=1'])
def test_text_stays_in_its_cell(tmp_path: Path, text: str) -> None:
    write_csv(pd.DataFrame({"text": [text], "last": [1]}), tmp_path / "table.csv")
    _, (cell, last) = read(tmp_path / "table.csv")
    assert cell.lstrip("'") == text.replace("\r\n", "\n").replace("\r", "\n")
    assert cell[0] in "a'"
    assert last == "1"


def test_numbers_stay_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "float": [-0.1, 1e-300, float("nan")],
            "whole": pd.Series([-3, None, 2**62], dtype="Int64"),
            "flag": pd.Series([True, None, False], dtype="boolean"),
        }
    )
    write_csv(frame, tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == f"float,whole,flag\n-0.1,-3,True\n1e-300,,\n,{2**62},False\n"


def test_values_of_a_configuration_are_defused(tmp_path: Path, run: Make) -> None:
    run(attack__note="=HYPERLINK(0)").save(tmp_path / "0" / "result.json")
    run(attack__note="-2", data__name="@x").save(tmp_path / "1" / "result.json")
    write_csv(collect(tmp_path).frame, tmp_path / "results.csv")
    names, *cells = read(tmp_path / "results.csv")
    rows = [dict(zip(names, row, strict=True)) for row in cells]
    assert [row["config.attack.note"] for row in rows] == ["'=HYPERLINK(0)"] * 2 + ["'-2"] * 2
    assert rows[3]["data"] == "'@x"
    assert rows[3]["drop"] == repr(0.8 - 0.5)


def test_without_pyarrow_there_is_no_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"a": [1.0]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert not write_parquet(frame, tmp_path / "results.parquet")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert write_parquet(frame, tmp_path / "results.parquet")
