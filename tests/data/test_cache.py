import errno
import json
import os
import subprocess
import sys
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
BAD = 3
CAMPAIGN = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
import aach_lightning.runtime.progress  # once here, and not in each child
from aach_lightning.data.cache import cached_images
directory, log = Path(sys.argv[1]), Path(sys.argv[2])

def read(row):
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{row}\\n".encode())
    time.sleep(0.05)
    return np.full((3, 4, 4), row, np.uint8)

def child():
    process = os.fork()
    if process == 0:
        images, _ = cached_images(directory, "key", 10, 4, read, "test")
        os._exit(0 if images[:, 0, 0, 0].tolist() == list(range(10)) else 1)
    return process

killed = child()
while not log.exists():
    time.sleep(0.01)
os.kill(killed, signal.SIGKILL)
os.waitpid(killed, 0)
print("left:", *sorted(path.name for path in directory.iterdir()))
log.unlink()
print("status:", *[os.waitpid(process, 0)[1] for process in [child(), child()]])
"""


def picture(row: int) -> NDArray[np.uint8]:
    return ((np.arange(3 * SIZE * SIZE).reshape(3, SIZE, SIZE) * 7 + row * 13) % 251).astype(np.uint8)


@dataclass(frozen=True)
class Read:
    """Row to a picture, with a line in a file for each call, so that calls in other processes count too."""

    log: Path

    def __call__(self, row: int) -> NDArray[np.uint8]:
        descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{row} {os.getpid()}\n".encode())
        os.close(descriptor)
        if row == BAD:
            raise DataError(f"picture {row} is torn")
        return picture(row)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    return Read(tmp_path / "log")


def calls(read: Read) -> list[int]:
    return [int(line.split()[0]) for line in read.log.read_text().splitlines()] if read.log.exists() else []


def open_cache(folder: Path, read: Callable[[int], NDArray[np.uint8]], count: int = 6) -> NDArray[np.uint8]:
    images, damaged = cached_images(folder / "cache", "key", count, SIZE, read, "test")
    assert damaged == {BAD: f"picture {BAD} is torn"}
    assert not images.flags.writeable
    expected = np.stack([np.zeros_like(picture(0)) if row == BAD else picture(row) for row in range(count)])
    np.testing.assert_array_equal(images, expected)
    return images


def touch(path: Path) -> None:
    """Make the time of the last change differ, however coarse the clock is."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def test_decoded_once(tmp_path: Path, read: Read) -> None:
    for _ in range(3):
        open_cache(tmp_path, read)
    assert calls(read) == list(range(6))
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["key.json", "key.lock", "key.npy"]


def test_touched_but_whole_cache_is_kept(tmp_path: Path, read: Read) -> None:
    open_cache(tmp_path, read)
    touch(tmp_path / "cache" / "key.npy")
    open_cache(tmp_path, read)
    assert calls(read) == list(range(6))
    seen = json.loads((tmp_path / "cache" / "key.json").read_text())["seen"]
    assert seen[1] == (tmp_path / "cache" / "key.npy").stat().st_mtime_ns  # not read again next time


@pytest.mark.parametrize("position", [0, 6, 9, 30, 60, 128, 200, -1])
def test_cache_with_a_changed_byte_is_built_anew(tmp_path: Path, read: Read, position: int) -> None:
    open_cache(tmp_path, read)
    path = tmp_path / "cache" / "key.npy"
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)
    touch(path)
    open_cache(tmp_path, read)
    assert calls(read) == 2 * list(range(6))


@pytest.mark.parametrize("length", [0, 5, 100, 128, 200])
def test_truncated_cache_is_built_anew(tmp_path: Path, read: Read, length: int) -> None:
    open_cache(tmp_path, read)
    path = tmp_path / "cache" / "key.npy"
    path.write_bytes(path.read_bytes()[:length])
    open_cache(tmp_path, read)
    assert calls(read) == 2 * list(range(6))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        '"x"',
        "{}",
        "no damaged",
        "damaged: a list",
        "damaged: no numbers",
        "damaged: outside",
    ],
)
def test_cache_with_a_wrong_description_is_built_anew(tmp_path: Path, read: Read, content: str) -> None:
    open_cache(tmp_path, read)
    path = tmp_path / "cache" / "key.json"
    meta = json.loads(path.read_text())
    if content == "no damaged":
        del meta["damaged"]
        content = json.dumps(meta)
    elif content.startswith("damaged: "):
        wrong = {"a list": [3], "no numbers": {"x": "y"}, "outside": {"6": "y"}}[content.split(": ")[1]]
        content = json.dumps({**meta, "damaged": wrong})
    path.write_text(content)
    open_cache(tmp_path, read)
    assert calls(read) == 2 * list(range(6))


@pytest.mark.parametrize("missing", ["key.npy", "key.json"])
def test_half_a_cache_is_built_anew(tmp_path: Path, read: Read, missing: str) -> None:
    open_cache(tmp_path, read)
    (tmp_path / "cache" / missing).unlink()
    open_cache(tmp_path, read)
    assert calls(read) == 2 * list(range(6))


def test_cache_of_other_shape_is_built_anew(tmp_path: Path, read: Read) -> None:
    open_cache(tmp_path, read)
    open_cache(tmp_path, read, count=5)
    assert calls(read) == [*range(6), *range(5)]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_full_disk(tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def full(*_: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(StoreError, match=os.strerror(code)) as caught:
            open_cache(tmp_path, read)
    assert str(tmp_path / "cache" / "key.npy") in str(caught.value)
    assert "paths.cache" in str(caught.value)
    assert calls(read) == []  # found before the first image
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["key.lock"]
    open_cache(tmp_path, read)


def test_full_disk_when_the_description_is_written(tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path, __: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "write_json", full)
        with pytest.raises(StoreError, match="No space left"):
            open_cache(tmp_path, read)
    assert not list((tmp_path / "cache").glob("*.part"))
    open_cache(tmp_path, read)  # what lies there without a description is not believed
    assert calls(read) == 2 * list(range(6))


def test_error_of_the_reader_leaves_nothing(tmp_path: Path) -> None:
    def breaks(row: int) -> NDArray[np.uint8]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cached_images(tmp_path, "key", 6, SIZE, breaks, "test")
    assert [path.name for path in tmp_path.iterdir()] == ["key.lock"]


def test_after_a_kill_two_processes_share_one_build(tmp_path: Path) -> None:
    log = tmp_path / "log"
    arguments = [sys.executable, "-c", CAMPAIGN, str(tmp_path / "cache"), str(log)]
    shown = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True, timeout=200).stdout
    assert "left: key.lock key.part\n" in shown
    assert "status: 0 0\n" in shown
    assert log.read_text().split() == [str(row) for row in range(10)]
    assert not (tmp_path / "cache" / "key.part").exists()


def test_worker_processes_give_the_same(tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 600
    (tmp_path / "serial").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "_PARALLEL_FROM", count + 1)
        serial = open_cache(tmp_path / "serial", Read(tmp_path / "other log"), count)
    with monkeypatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
        parallel = open_cache(tmp_path, read, count)
    np.testing.assert_array_equal(serial, parallel)
    assert sorted(calls(read)) == list(range(count))
    processes = {int(line.split()[1]) for line in read.log.read_text().splitlines()}
    assert os.getpid() not in processes
    first, second = (json.loads((f / "cache" / "key.json").read_text()) for f in (tmp_path, tmp_path / "serial"))
    assert (first["checksum"], first["damaged"]) == (second["checksum"], second["damaged"])
