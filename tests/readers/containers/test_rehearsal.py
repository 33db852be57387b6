import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aach_lightning.errors import DataError
from aach_lightning.readers.containers import reader, rehearsal
from aach_lightning.readers.containers.rehearsal import read_all, rehearse

h5py = pytest.importorskip("h5py")


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    path = tmp_path / "pack.h5"
    with h5py.File(path, "w") as file:
        file["caption"], file["labels"] = ["a dog", "a cat"], np.eye(2)
    return path


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"reading it ends a process \(SIGSEGV\)"),
        ("import os; os.abort()", r"reading it ends a process \(SIGABRT\)"),
        ("import time; time.sleep(60)", r"reading it comes to no end \(0 s\)"),
    ],
)
def test_a_file_that_no_process_survives(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    monkeypatch.setattr(rehearsal, "_PROGRAM", program)
    monkeypatch.setattr(rehearsal, "PATIENCE", 0.3 if "sleep" in program else 60.0)
    for _ in range(2):
        with pytest.raises(DataError, match=rf"pack\.h5: damaged HDF5 file: {said}"):
            rehearse([pack], tmp_path / "cache")


def test_once_for_each_content(tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    run = subprocess.run
    monkeypatch.setattr(
        rehearsal.subprocess, "run", lambda *args, **options: started.append(1) or run(*args, **options)
    )
    for _ in range(2):
        rehearse([pack], tmp_path / "cache")
    assert len(started) == 1
    with h5py.File(pack, "r+") as file:
        file["labels"][0, 0] = 3
    rehearse([pack], tmp_path / "cache")
    assert len(started) == 2


def test_other_formats_and_other_damage_are_left_to_the_reader(tmp_path: Path, pack: Path) -> None:
    np.save(tmp_path / "labels.npy", np.eye(2))
    pack.write_bytes(pack.read_bytes()[:1000])
    rehearse([tmp_path / "labels.npy", pack], tmp_path / "cache")


def test_a_program_that_fails_is_not_remembered(tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(rehearsal, "_PROGRAM", "raise SystemExit(1)")
        rehearse([pack], tmp_path / "cache")
    assert not list(tmp_path.rglob("*.readable"))
    rehearse([pack], tmp_path / "cache")
    assert len(list(tmp_path.rglob("*.readable"))) == 1


def test_everything_is_read(tmp_path: Path, pack: Path, write_v73: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each data set of a small file from end to end, of a large one blocks up to its end."""
    seen: dict[str, list[tuple[int, int, int]]] = {}
    rows = rehearsal.Hdf5Variable.rows

    def watched(self: Any, axis: int, start: int, stop: int) -> Any:
        seen.setdefault(self.key, []).append((axis, start, stop))
        return rows(self, axis, start, stop)

    monkeypatch.setattr(rehearsal.Hdf5Variable, "rows", watched)
    read_all(str(pack))
    assert seen == {"labels": [(0, 0, 2)]}
    seen.clear()
    monkeypatch.setattr(rehearsal, "_BLOCK", 1000)
    write_v73(tmp_path / "x.mat", {"images": np.zeros((100, 3, 4, 5), np.uint8), "caption": ["a"] * 3})
    read_all(str(tmp_path / "x.mat"))
    assert {axis for axis, _, _ in seen["images"]} == {3}  # stored first
    assert [start for _, start, _ in seen["images"]][1:] == [stop for _, _, stop in seen["images"]][:-1]
    seen.clear()
    with h5py.File(pack, "w") as file:
        file["images"] = np.zeros((2000, 3, 4, 5), np.uint8)  # 60 bytes each: 125 blocks of 16
    read_all(str(pack))
    assert seen["images"] == [(0, start, start + 16) for start in range(0, 2000, 7 * 16)]


def test_the_reader_rehearses(tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch, read_pack: Any) -> None:
    def refuses(files: tuple[Path, ...], cache: Path) -> None:
        raise DataError(f"{files[0].name} in {cache.name}")

    monkeypatch.setattr(reader, "rehearse", refuses)
    with pytest.raises(DataError, match=r"pack\.h5 in cache"):
        read_pack(pack)
