import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from aach_lightning.errors import DataError
from aach_lightning.evaluation.result import Result, Row


def row(**changes: Any) -> Row:
    values: dict[str, Any] = {
        "direction": "I2T",
        "query": "attack",
        "map": 1 / 3,
        "drop": -0.1,
        "share_of_white_box": None,
        "distance": 2.5,
        "epsilon": 8 / 255,
        "linf": 8 / 255,
        "rms": 0.02,
        "psnr": 31.25,
        "ssim": 0.93,
        "pairs_queried": 40,
        "items_queried": 12,
        "needs": "codes",
        "labels": False,
    }
    return Row(**{**values, **changes})


@pytest.fixture
def result() -> Result:
    return Result(
        rows=(row(), row(direction="T2I", query="clean", psnr=None, ssim=None, needs="nothing")),
        chance={"I2T": 0.25, "T2I": 0.2},
        target={"validation_map": {"i2t": 0.5}},
        surrogate={},
        queries={"budget_pairs": 40},
        data={"name": "Bilder, 写真", "note": "", "skipped": 0},
        config={"attack": {"epsilon": 8.0, "diversity": {"smallest": 0.75}}, "vocabulary": None},
        seed=3,
        versions={"torch": "2"},
        stages={"data": {"seconds": 0.1, "peak_memory_mib": 3.0}},
    )


def test_round_trip(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "new" / "result.json"
    result.save(path)
    assert Result.load(path) == result
    assert [file.name for file in path.parent.iterdir()] == ["result.json"]
    content = json.loads(path.read_bytes().decode("utf-8"))
    assert content["rows"][0]["map"] == 1 / 3  # to the last bit
    assert content["schema"] == "aach_lightning.result/3"
    assert set(content) == {field.name for field in dataclasses.fields(Result)}


def test_row_by_direction_and_query(result: Result) -> None:
    assert result.row("T2I", "clean") == result.rows[1]
    assert result.row("I2T", "attack") == result.rows[0]
    assert result.row("I2T", "white_box") is None


def test_another_schema_is_refused(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    dataclasses.replace(result, schema="aach_lightning.result/99").save(path)
    with pytest.raises(DataError, match=r"result\.json.*result/99.*result/3.*result/2"):
        Result.load(path)


def test_results_of_the_version_before_are_read(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    older = dataclasses.replace(result, schema="aach_lightning.result/2")
    older.save(path)
    expected = dataclasses.replace(
        result, config={**result.config, "answer": {"name": "codes", "gallery": 1000, "k": 50}}
    )
    assert Result.load(path) == expected


def test_every_truncation_is_refused(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    result.save(path)
    whole = path.read_bytes()
    for length in (0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cannot read the result .*result\.json"):
            Result.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: [content],
        lambda content: {key: value for key, value in content.items() if key != "schema"},
        lambda content: {key: value for key, value in content.items() if key != "rows"},
        lambda content: {key: value for key, value in content.items() if key != "chance"},
        lambda content: {**content, "more": 1},
        lambda content: {**content, "rows": None},
        lambda content: {**content, "rows": [{**content["rows"][0], "more": 1}]},
        lambda content: {**content, "rows": [{"map": 1.0}]},
        lambda content: {**content, "seed": True},
        lambda content: {**content, "chance": {"I2T": "0.25"}},
        lambda content: {**content, "stages": {"data": 3.0}},
        lambda content: {**content, "config": []},
    ],
)
def test_other_documents_are_refused(result: Result, tmp_path: Path, change: Any) -> None:
    path = tmp_path / "result.json"
    result.save(path)
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    with pytest.raises(DataError, match=r"result\.json"):
        Result.load(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("map", "0.5"),
        ("map", None),
        ("map", float("nan")),
        ("drop", float("inf")),
        ("distance", True),
        ("pairs_queried", 2.0),
        ("pairs_queried", 10**400),
        ("direction", "I2X"),
        ("query", ["attack"]),
        ("psnr", "31"),
    ],
)
def test_values_of_another_type_are_refused(result: Result, tmp_path: Path, field: str, value: Any) -> None:
    path = tmp_path / "result.json"
    result.save(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["rows"][1][field] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=rf"result\.json: {field} is "):
        Result.load(path)


def test_whole_numbers_are_numbers(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    dataclasses.replace(result, rows=(row(map=1, psnr=None, ssim=0),)).save(path)
    assert Result.load(path).rows[0] == row(map=1.0, psnr=None, ssim=0.0)


def test_missing_file_and_other_bytes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.json"):
        Result.load(tmp_path / "nothing.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match=r"bytes\.json"):
        Result.load(tmp_path / "bytes.json")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_is_refused_and_the_old_file_stays(result: Result, tmp_path: Path, value: float) -> None:
    path = tmp_path / "result.json"
    result.save(path)
    with pytest.raises(ValueError, match="JSON compliant"):
        dataclasses.replace(result, rows=(row(map=value),)).save(path)
    assert Result.load(path) == result
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]
