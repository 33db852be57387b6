import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aach_lightning.data import cache as cache_module
from aach_lightning.data.cache import cached_images
from aach_lightning.errors import DataError, StoreError

SIZE = 4
CHUNK = 64
COUNT = 3 * CHUNK - 10
BAD = 5
PROGRAM = """
import os, sys, time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from aach_lightning.data import cache
from aach_lightning.data.cache import cached_images

@dataclass(frozen=True)
class Read:
    log: str

    def __call__(self, row):
        descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{row} {os.getpid()}\\n".encode())
        os.close(descriptor)
        time.sleep(0.01)
        return np.full((3, 4, 4), row % 251, np.uint8)

if __name__ == "__main__":
    cache.progress_bar = lambda *_: nullcontext(lambda done: None)  # the bar takes seconds to import
    cache._PARALLEL_FROM = int(sys.argv[3])
    os.sched_getaffinity = lambda _: {0, 1}
    cached_images(Path(sys.argv[1]), "key", int(sys.argv[4]), 4, Read(sys.argv[2]), "test")
"""


def picture(row: int) -> NDArray[np.uint8]:
    return ((np.arange(3 * SIZE * SIZE).reshape(3, SIZE, SIZE) * 7 + row * 13) % 251).astype(np.uint8)


@dataclass
class Read:
    """Row to a picture; stops with an error at row `stop`."""

    calls: list[int]
    stop: int | None = None
    error: type[BaseException] = KeyboardInterrupt

    def __call__(self, row: int) -> NDArray[np.uint8]:
        self.calls.append(row)
        if row == self.stop:
            raise self.error
        if row == BAD:
            raise DataError("torn")
        return picture(row)


def build(folder: Path, count: int = COUNT) -> list[int]:
    """Build to the end, compare every pixel, and return the rows that were decoded for it."""
    read = Read([])
    images, damaged = cached_images(folder, "key", count, SIZE, read, "test")
    assert damaged == {BAD: "torn"}
    for row in range(count):
        np.testing.assert_array_equal(images[row], np.zeros((3, SIZE, SIZE)) if row == BAD else picture(row))
    assert sorted(path.name for path in folder.iterdir()) == ["key.json", "key.lock", "key.npy"]
    return read.calls


def interrupt(folder: Path, row: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        cached_images(folder, "key", COUNT, SIZE, Read([], row), "test")
    assert not (folder / "key.npy").exists()


@pytest.mark.parametrize(
    ("row", "first"), [(0, 0), (CHUNK - 1, 0), (CHUNK, CHUNK), (2 * CHUNK + 3, 2 * CHUNK), (COUNT - 1, 2 * CHUNK)]
)
def test_goes_on_at_the_unfinished_chunk(tmp_path: Path, row: int, first: int) -> None:
    interrupt(tmp_path, row)
    assert build(tmp_path) == list(range(first, COUNT))


def test_interrupted_twice(tmp_path: Path) -> None:
    interrupt(tmp_path, CHUNK + 1)
    interrupt(tmp_path, 2 * CHUNK + 1)
    assert build(tmp_path) == list(range(2 * CHUNK, COUNT))


def test_same_file_and_description_as_without_interruption(tmp_path: Path) -> None:
    build(tmp_path / "whole")
    interrupt(tmp_path / "resumed", 2 * CHUNK)
    build(tmp_path / "resumed")
    first, second = (tmp_path / name / "key.npy" for name in ("whole", "resumed"))
    assert first.read_bytes() == second.read_bytes()
    metas = [json.loads(path.with_suffix(".json").read_text()) for path in (first, second)]
    assert metas[0]["checksum"] == metas[1]["checksum"]
    assert metas[0]["damaged"] == metas[1]["damaged"] == {str(BAD): "torn"}


def test_finished_pixels_that_were_lost_are_decoded_again(tmp_path: Path) -> None:
    """As after a power cut that kept the journal and lost a page of the pixels."""
    interrupt(tmp_path, 2 * CHUNK)
    part = tmp_path / "key.part"
    content = bytearray(part.read_bytes())
    content[128 + 5 * 3 * SIZE * SIZE + 7] ^= 1
    part.write_bytes(content)
    assert build(tmp_path) == [*range(CHUNK), *range(2 * CHUNK, COUNT)]


def spoil_head(lines: list[str]) -> list[str]:
    return [lines[0].replace("4", "5"), *lines[1:]]


def spoil_rows(lines: list[str]) -> list[str]:
    return [lines[0], lines[1].replace('"stop": 64', '"stop": 65'), *lines[2:]]


def spoil_damaged(lines: list[str]) -> list[str]:
    return [lines[0], lines[1].replace('"5"', '"70"'), *lines[2:]]


def tear(lines: list[str]) -> list[str]:
    return [*lines[:-2], lines[-2][:20]]


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (spoil_head, 0),
        (spoil_rows, 0),
        (spoil_damaged, 0),
        (tear, CHUNK),
        (lambda lines: [*lines[:2], "null", ""], CHUNK),
        (lambda lines: [*lines[:2], '{"start": [], "stop": 3}', ""], CHUNK),
        (lambda _: [], 0),
        (lambda _: ["\0\0"], 0),
    ],
)
def test_only_what_the_journal_says_clearly_is_believed(
    tmp_path: Path, change: Callable[[list[str]], list[str]], first: int
) -> None:
    interrupt(tmp_path, 2 * CHUNK)
    journal = tmp_path / "key.journal"
    lines = journal.read_text().split("\n")
    assert len(lines) == 4  # shape, two chunks, and nothing after the last line end
    changed = change(lines)
    assert changed != lines
    journal.write_text("\n".join(changed))
    assert build(tmp_path) == list(range(first, COUNT))


@pytest.mark.parametrize("part", [None, b"", b"\x93NUMPY", b"x" * 40_000])
def test_journal_without_its_pixels(tmp_path: Path, part: bytes | None) -> None:
    interrupt(tmp_path, 2 * CHUNK)
    if part is None:
        (tmp_path / "key.part").unlink()
    else:
        (tmp_path / "key.part").write_bytes(part)
    assert build(tmp_path) == list(range(COUNT))


def test_truncated_pixels(tmp_path: Path) -> None:
    interrupt(tmp_path, 2 * CHUNK)
    os.truncate(tmp_path / "key.part", 128 + CHUNK * 3 * SIZE * SIZE)
    assert build(tmp_path) == list(range(COUNT))


def test_other_number_of_images(tmp_path: Path) -> None:
    interrupt(tmp_path, 2 * CHUNK)
    assert build(tmp_path, COUNT - 1) == list(range(COUNT - 1))


def test_an_error_keeps_nothing(tmp_path: Path) -> None:
    read = Read([], 2 * CHUNK, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        cached_images(tmp_path, "key", COUNT, SIZE, read, "test")
    assert [path.name for path in tmp_path.iterdir()] == ["key.lock"]


def logged(log: Path) -> list[tuple[int, int]]:
    """Rows and processes."""
    if not log.exists():
        return []
    return [(int(row), int(process)) for row, process in map(str.split, log.read_text().splitlines())]


def running(process: int) -> bool:
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see whether processes have ended")
@pytest.mark.parametrize("parallel_from", [10**6, 0])
def test_killed_in_the_middle(tmp_path: Path, parallel_from: int) -> None:
    program, log, folder = tmp_path / "program.py", tmp_path / "log", tmp_path / "cache"
    program.write_text(PROGRAM)
    count = 4 * CHUNK
    arguments = [sys.executable, str(program), str(folder), str(log), str(parallel_from), str(count)]
    killed = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    journal = folder / "key.journal"
    while not (journal.exists() and journal.read_text().count("\n") >= 2):  # shape and one chunk
        assert killed.poll() is None
        time.sleep(0.005)
    killed.kill()
    killed.wait()
    first = logged(log)
    workers = {process for _, process in first} - {killed.pid}
    assert bool(workers) == (parallel_from == 0)
    end = time.monotonic() + 20
    while any(map(running, workers)):  # nobody is left behind who would wait for ever
        assert time.monotonic() < end, "worker processes outlive the process that started them"
        time.sleep(0.02)
    recorded = journal.read_text().count("\n") - 1
    assert 1 <= recorded < 4
    log.unlink()
    subprocess.run(arguments, stdout=subprocess.DEVNULL, check=True, timeout=100)
    assert sorted(row for row, _ in logged(log)) == list(range(recorded * CHUNK, count))
    images = np.load(folder / "key.npy")
    np.testing.assert_array_equal(images, (np.arange(count) % 251)[:, None, None, None] + np.zeros((1, 3, 4, 4)))
    assert not journal.exists()


@dataclass(frozen=True)
class Die:
    """Ends its own worker process at one row, unless the mark is there."""

    mark: Path
    log: Path

    def __call__(self, row: int) -> NDArray[np.uint8]:
        if row == 3 * CHUNK and not self.mark.exists():
            time.sleep(0.5)  # the chunks before are finished by then
            os.kill(os.getpid(), signal.SIGKILL)
        with self.log.open("a") as file:
            file.write(f"{row} 0\n")
        return picture(row)


def test_killed_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_PARALLEL_FROM", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    read = Die(tmp_path / "mark", tmp_path / "log")
    with pytest.raises(StoreError, match=r"was killed.*run the same command again"):
        cached_images(tmp_path / "cache", "key", 4 * CHUNK, SIZE, read, "test")
    read.mark.touch()
    read.log.unlink()
    images, _ = cached_images(tmp_path / "cache", "key", 4 * CHUNK, SIZE, read, "test")
    assert {row for row, _ in logged(read.log)} == set(range(3 * CHUNK, 4 * CHUNK))
    np.testing.assert_array_equal(images, np.stack([picture(row) for row in range(4 * CHUNK)]))
