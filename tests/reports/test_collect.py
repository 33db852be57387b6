import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aach_lightning.errors import DataError
from aach_lightning.evaluation.result import Result
from aach_lightning.reports import collect as module
from aach_lightning.reports.collect import Collection, collect

Make = Callable[..., Result]


def paths(found: Collection) -> set[str]:
    return set(found.frame["path"])


def test_every_result_below_a_folder(tmp_path: Path, run: Make) -> None:
    places = ("result.json", "sweeps/a/0/result.json", "sweeps/a/1/result.json", "store/result/abc/result.json")
    for seed, place in enumerate(places):
        run(seed=seed).save(tmp_path / place)
    (tmp_path / "sweeps" / "a" / "result.json.part").write_text("{")
    (tmp_path / "sweeps" / "other.json").write_text("{}")
    found = collect(tmp_path)
    assert paths(found) == {str(tmp_path / place) for place in places}
    assert sorted(found.frame["seed"].unique()) == [0, 1, 2, 3]
    assert len(found.frame) == len(places) * 2  # clean and attack
    assert (found.repeated, found.skipped, found.missing, found.contradictions) == ((), (), (), ())
    assert len(found.configs) == len(places)


def test_a_run_found_twice_counts_once(tmp_path: Path, run: Make) -> None:
    run().save(tmp_path / "sweeps" / "a" / "0" / "result.json")
    run().save(tmp_path / "sweeps" / "b" / "7" / "result.json")
    run().save(tmp_path / "store" / "result" / "abc" / "result.json")
    found = collect(tmp_path)
    assert len(found.frame) == 2
    assert len(found.repeated) == 2
    assert found.contradictions == ()


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"budget__pairs": 40}, {"data": {"hash": "other"}}, {"attack__steps": 5}],
    ids=["seed", "budget", "data", "a key more"],
)
def test_what_makes_two_runs_different(tmp_path: Path, run: Make, other: dict[str, Any]) -> None:
    run().save(tmp_path / "a" / "result.json")
    run(**other).save(tmp_path / "b" / "result.json")
    found = collect(tmp_path)
    assert (len(paths(found)), found.repeated) == (2, ())


def test_the_order_of_keys_and_the_stages_make_no_difference(tmp_path: Path, run: Make) -> None:
    first = run()
    first.save(tmp_path / "a" / "result.json")
    turned = replace(first, config=dict(reversed(first.config.items())), stages={})
    turned.save(tmp_path / "b" / "result.json")
    assert len(paths(collect(tmp_path))) == 1


@pytest.mark.parametrize("newer", ["a", "b"])
def test_of_other_numbers_the_newer_file_counts_and_both_are_named(tmp_path: Path, run: Make, newer: str) -> None:
    for name, number in (("a", 0.5), ("b", 0.25)):
        path = tmp_path / name / "result.json"
        run({"I2T attack": number}).save(path)
        os.utime(path, (1000, 2000 if name == newer else 1000))
    found = collect(tmp_path)
    assert found.frame["map"].tolist() == [{"a": 0.5, "b": 0.25}[newer]]
    other = {"a": "b", "b": "a"}[newer]
    assert found.contradictions == ((tmp_path / newer / "result.json", tmp_path / other / "result.json"),)


def test_links_of_every_kind(tmp_path: Path, run: Make) -> None:
    real = tmp_path / "runs" / "0"
    run().save(real / "result.json")
    (tmp_path / "latest").symlink_to(real)
    (tmp_path / "runs" / "up").symlink_to(tmp_path)  # a circle
    (tmp_path / "soft").mkdir()
    (tmp_path / "soft" / "result.json").symlink_to(real / "result.json")
    (tmp_path / "hard").mkdir()
    os.link(real / "result.json", tmp_path / "hard" / "result.json")
    outside = tmp_path.parent / f"{tmp_path.name} outside"
    run(seed=1).save(outside / "result.json")
    (tmp_path / "elsewhere").symlink_to(outside)
    found = collect(tmp_path)
    assert sorted(found.frame["seed"].unique()) == [0, 1]
    assert len(found.repeated) == 2  # soft and hard; no folder is read twice
    assert found.skipped == ()


def damaged_files(folder: Path, whole: bytes) -> dict[Path, str]:
    """Files named result.json that are none, and what is said of each."""
    content = json.loads(whole)

    def changed(**changes: Any) -> bytes:
        return json.dumps({**content, **changes}).encode()

    def row(**changes: Any) -> bytes:
        return changed(rows=[{**content["rows"][0], **changes}])

    def config(group: str, **changes: Any) -> bytes:
        return changed(config={**content["config"], group: {**content["config"][group], **changes}})

    kinds = {
        "empty": (b"", "cannot read"),
        "half": (whole[: len(whole) // 2], "cannot read"),
        "bytes": (b"\xff\xfe\x00", "cannot read"),
        "list": (b"[]", "cannot read"),
        "deep": (b'{"schema": ' + b"[" * 100_000, "cannot read"),
        "foreign": (b'{"accuracy": 0.9}', "schema None"),
        "version": (changed(schema="aach_lightning.result/99"), "result/99"),
        "NaN": (row(map=float("nan")), "map is nan"),
        "text": (row(map="=1+1"), "map is '=1+1'"),
        "boolean": (row(pairs_queried=True), "pairs_queried is True"),
        "huge": (row(pairs_queried=10**400), "pairs_queried is 1"),
        "query": (row(query="other"), "query is 'other'"),
        "no rows": (changed(rows=[]), "has no rows"),
        "seed": (changed(seed="0"), "seed is '0'"),
        "chance": (changed(chance={"I2T": None}), "chance is"),
        "no config": (changed(config={}), "budget_pairs is None"),
        "budget": (config("budget", pairs=2.5), "budget_pairs is 2.5"),
        "epsilon": (config("attack", epsilon="8/255"), "epsilon is '8/255'"),
        "no hash": (changed(data={"name": "x"}), "data_hash is None"),
        "count": (changed(data={**content["data"], "pairs": "many"}), "data_pairs is 'many'"),
    }
    expected = {}
    for name, (text, reason) in kinds.items():
        path = folder / name / "result.json"
        path.parent.mkdir(parents=True)
        path.write_bytes(text)
        expected[path] = reason
    return expected


def test_damaged_and_foreign_files_are_named_and_skipped(tmp_path: Path, run: Make) -> None:
    run(seed=5).save(tmp_path / "good" / "result.json")
    run().save(tmp_path / "whole")
    expected = damaged_files(tmp_path / "bad", (tmp_path / "whole").read_bytes())
    link = tmp_path / "link" / "result.json"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "nothing")
    expected[link] = "No such file"
    pipe = tmp_path / "pipe" / "result.json"
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    expected[pipe] = "no regular file"
    found = collect(tmp_path)
    assert found.frame["seed"].unique().tolist() == [5]
    reasons = dict(found.skipped)
    assert set(reasons) == set(expected)
    for path, part in expected.items():
        assert part in reasons[path], path
        assert str(path) in reasons[path]


def test_a_file_too_large_to_be_a_result(tmp_path: Path, run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run().save(tmp_path / "result.json")
    monkeypatch.setattr(module, "LARGEST", 100)
    ((path, reason),) = collect(tmp_path).skipped
    assert path == tmp_path / "result.json"
    assert "at most 100" in reason


def test_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("nothing", "file"):
        with pytest.raises(DataError, match=name):
            collect(tmp_path / name)


def test_nothing_in_a_folder(tmp_path: Path) -> None:
    assert collect(tmp_path).frame.empty


def test_a_folder_that_is_renamed_meanwhile(tmp_path: Path, run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run().save(tmp_path / "a" / "result.json")
    (tmp_path / "b").mkdir()
    scandir = os.scandir

    def gone(path: Any) -> Any:
        if Path(path).name == "b":
            raise FileNotFoundError(2, "No such file or directory", str(path))
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", gone)
    assert collect(tmp_path).skipped == ()
    (tmp_path / "closed").mkdir()
    ((path, reason),) = collect(tmp_path).skipped
    assert (path.name, "Permission denied" in reason) == ("closed", True)


def test_thousands_of_files(tmp_path: Path, run: Make) -> None:
    count = 3000
    run(seed=123456789).save(tmp_path / "text")
    text = (tmp_path / "text").read_text()
    for seed in range(count):
        folder = tmp_path / "many" / str(seed)
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(text.replace("123456789", str(seed)))
    shutil.copytree(tmp_path / "many" / "7", tmp_path / "copy")
    start = time.perf_counter()
    found = collect(tmp_path)
    assert time.perf_counter() - start < 60  # some 3 s: nothing is quadratic
    assert found.frame["seed"].nunique() == count
    assert len(found.repeated) == 1
