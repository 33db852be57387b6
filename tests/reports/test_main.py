import csv
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from aach_lightning.evaluation.result import Result
from aach_lightning.reports import __main__ as command
from aach_lightning.reports.__main__ import main
from aach_lightning.reports.frame import COLUMNS

Make = Callable[..., Result]
Write = Callable[..., None]
WITHOUT_PYARROW = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pyarrow":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())  # from the start, as where it is not installed
from aach_lightning.reports.__main__ import main
sys.exit(main(["collect", sys.argv[1]]))
"""
ROOT = Path(__file__).parents[2]
FILES = {"results.csv", "results.parquet", "summary.csv", "curves.png", "curves.svg"}


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pictures, which take most of the time."""
    monkeypatch.setattr(command, "save_figure", lambda figure, path: None)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def three_seeds(folder: Path, run: Make) -> None:
    for seed, value in enumerate((0.5, 0.48, 0.46)):
        run({"I2T clean": 0.8, "I2T attack": value}, seed=seed).save(folder / str(seed) / "result.json")


def test_tables_pictures_and_where_they_are(
    tmp_path: Path, run: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    three_seeds(tmp_path / "sweep", run)
    monkeypatch.chdir(tmp_path)
    assert main(["collect", "sweep"]) == 0
    assert files(tmp_path / "sweep") == FILES
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert lines[0] == "scenes: 3 runs, 3 seeds, 16 bits"
    assert "0.480 ±0.050" in captured.out
    assert lines[-3:] == [
        "results: sweep/results.csv, sweep/results.parquet",
        "summary: sweep/summary.csv",
        "picture: sweep/curves.png, sweep/curves.svg",
    ]
    assert max(map(len, lines)) <= 80
    table = pd.read_csv(tmp_path / "sweep" / "results.csv")
    assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert table[table["query"] == "attack"]["map"].tolist() == [0.5, 0.48, 0.46]
    with (tmp_path / "sweep" / "summary.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["query"] == "attack"]
    assert len(rows) == 1
    assert (rows[0]["n"], rows[0]["direction"], rows[0]["budget_pairs"], rows[0]["epsilon"]) == (
        "3",
        "I2T",
        "20",
        "8.0",
    )
    half = 4.302653 * 0.02 / 3**0.5
    assert [float(rows[0][name]) for name in ("mean", "low", "high")] == pytest.approx([0.48, 0.48 - half, 0.48 + half])


def test_another_folder_and_a_second_time(tmp_path: Path, run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    three_seeds(tmp_path / "sweep", run)
    to = tmp_path / "new" / "place"
    assert main(["collect", str(tmp_path / "sweep"), "--to", str(to)]) == 0
    first = {name: (to / name).read_bytes() for name in files(to)}
    assert set(first) == FILES
    assert files(tmp_path / "sweep") == set()
    assert main(["collect", str(tmp_path / "sweep"), "--to", str(to)]) == 0
    assert {name: (to / name).read_bytes() for name in files(to)} == first
    assert re.sub(r"\s", "", capsys.readouterr().out).endswith(f"{to}/curves.png,{to}/curves.svg")


def test_gaps_are_named(tmp_path: Path, run: Make, job: Write, capsys: pytest.CaptureFixture[str]) -> None:
    three_seeds(tmp_path, run)
    run(seed=2).save(tmp_path / "again" / "result.json")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "result.json").write_text('{"rows": [')
    job(
        tmp_path / "8", ["seed=8", "x=\x1b[31m"], config={"seed": 8}, error="Traceback\nDataError: no [bold]images[/]\n"
    )
    job(tmp_path / "9", ["seed=9"], config={"seed": 9})
    assert main(["collect", str(tmp_path)]) == command.INCOMPLETE == 3
    assert files(tmp_path) == FILES
    errors = capsys.readouterr().err.splitlines()
    assert errors[0] == "1 files hold a run that is counted already"
    assert errors[1].startswith(f"the same run, other numbers: {tmp_path}/")
    assert errors[2].startswith(f"skipped: cannot read the result {tmp_path}/half/result.json: ")
    assert errors[3:] == [
        "2 jobs have no result:",
        f"  {tmp_path}/8  seed=8 x=\\x1b[31m  DataError: no [bold]images[/]",
        f"  {tmp_path}/9  seed=9  unfinished",
    ]


@pytest.mark.usefixtures("undrawn")
def test_missing_jobs_alone_are_no_failure(
    tmp_path: Path, run: Make, sweep: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    three_seeds(tmp_path, run)
    sweep(tmp_path, ["seed=range(100)", "a=1"])
    assert main(["collect", str(tmp_path)]) == 0
    errors = capsys.readouterr().err.splitlines()
    assert errors[0] == "100 jobs have no result:"
    assert errors[1:21] == [f"  {tmp_path}  seed={seed}  never started" for seed in range(20)]
    assert errors[21:] == ["  and 80 more that were never started"]


def test_no_result_at_all(tmp_path: Path, job: Write, capsys: pytest.CaptureFixture[str]) -> None:
    job(tmp_path / "0", ["seed=0"], error="ConfigError: no\n")
    assert main(["collect", str(tmp_path)]) == command.FAILED == 1
    captured = capsys.readouterr()
    assert "ConfigError: no" in captured.err
    assert f"error: there is no result below {tmp_path}: attack.py writes" in captured.err
    assert (captured.out, files(tmp_path)) == ("", set())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["collect", "{}/nothing"], "there is no folder {}/nothing"),
        (["collect", "{}/file"], "there is no folder {}/file"),
        (["collect", "{}", "--to", "{}/file"], "--to={}/file: must be a folder"),
        (["collect", "{}", "--over", "sed"], "--over=sed: must be keys of the configuration, such as data.seed, seed"),
    ],
)
def test_errors_are_explained(
    tmp_path: Path, run: Make, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    three_seeds(tmp_path, run)
    (tmp_path / "file").write_text("")
    assert main([part.format(tmp_path) for part in arguments]) == 1
    assert message.format(tmp_path) in capsys.readouterr().err
    assert files(tmp_path) == {"file"}


def test_a_full_disk(
    tmp_path: Path, run: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    three_seeds(tmp_path, run)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert main(["collect", str(tmp_path)]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert files(tmp_path) == set()


def test_without_pyarrow(tmp_path: Path, run: Make) -> None:
    three_seeds(tmp_path, run)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYARROW, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert files(tmp_path) == FILES - {"results.parquet"}
    assert "pip install 'aach-lightning[parquet]'" in done.stdout
    assert f"results: {tmp_path}/results.csv\n" in done.stdout
    assert pd.read_csv(tmp_path / "results.csv")["map"].tolist() == [0.8, 0.5, 0.8, 0.48, 0.8, 0.46]


@pytest.mark.usefixtures("undrawn")
def test_other_seeds(tmp_path: Path, run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(4):
        found = run({"I2T attack": number / 10}, seed=number // 2, target__seed=number % 2)
        found.save(tmp_path / str(number) / "result.json")
    assert main(["collect", str(tmp_path)]) == 0
    assert "target.seed varies too: --over seed,target.seed takes the combinations" in capsys.readouterr().out
    assert main(["collect", str(tmp_path), "--over", "seed,target.seed"]) == 0
    output = capsys.readouterr().out
    assert "varies too" not in output
    assert "n = 4 values of seed, target.seed" in " ".join(output.split())


@pytest.mark.usefixtures("undrawn")
def test_a_bar_for_many_files_in_a_terminal(
    tmp_path: Path, run: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    three_seeds(tmp_path, run)
    monkeypatch.setattr(command, "_MANY", 2)
    assert main(["collect", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")  # which rich takes for a terminal
    assert main(["collect", str(tmp_path)]) == 0
    assert "reading results" in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_more_blocks_than_a_picture_holds(tmp_path: Path, run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    for steps in range(10):
        run(attack__steps=steps).save(tmp_path / str(steps) / "result.json")
    assert main(["collect", str(tmp_path)]) == 0
    assert "the picture shows the first 8 of 10 combinations" in capsys.readouterr().out


def test_help_fits_and_explains_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["collect", "--help"])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for name in (*COLUMNS, *FILES, "--to", "--over", "exit status"):
        assert name in text
