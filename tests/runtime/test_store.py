import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aach_lightning.errors import StoreError
from aach_lightning.runtime import store as store_module
from aach_lightning.runtime.files import digest_json
from aach_lightning.runtime.store import MANIFEST, ArtifactStore

DEPENDS = {"seed": 1, "data": "abc"}
# Starts a build that logs a line, shows that it runs, and takes a while.
SLOW_BUILDER = """
import os, sys, time
from pathlib import Path
from aach_lightning.runtime.store import ArtifactStore
root, log, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
def build(folder):
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"built\\n")
    (folder / "checkpoint").write_bytes(b"half")
    time.sleep(seconds)
    (folder / "file").write_bytes(b"whole")
artifact = ArtifactStore(root).get_or_build("stage", {"seed": 1, "data": "abc"}, build)
print(artifact.built)
"""


def whole(folder: Path) -> None:
    (folder / "inner").mkdir(exist_ok=True)
    (folder / "inner" / "file").write_bytes(b"whole")


def never(folder: Path) -> None:
    pytest.fail("built a second time")


def start(root: Path, log: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILDER, str(root), str(log), str(seconds)], stdout=subprocess.PIPE, text=True
    )


def test_built_once_found_afterwards(tmp_path: Path) -> None:
    first = ArtifactStore(tmp_path).get_or_build("stage", DEPENDS, whole)
    again = ArtifactStore(tmp_path).get_or_build("stage", dict(reversed(DEPENDS.items())), never)
    assert (first.built, again.built) == (True, False)
    assert first.path == again.path == tmp_path / "stage" / digest_json(DEPENDS)
    assert (again.path / "inner" / "file").read_bytes() == b"whole"
    manifest = json.loads((first.path / MANIFEST).read_text())
    assert manifest == {"stage": "stage", "depends_on": DEPENDS, "files": {"inner/file": 5}}


def test_another_key_or_stage_is_another_artifact(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    paths = {
        store.get_or_build(stage, {"seed": seed}, whole).path for stage in ("target", "surrogate") for seed in (1, 2)
    }
    assert len(paths) == 4


def test_failing_build_leaves_no_artifact_and_the_next_one_continues(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)

    def fails(folder: Path) -> None:
        (folder / "checkpoint").write_bytes(b"half")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        store.get_or_build("stage", DEPENDS, fails)
    final = tmp_path / "stage" / digest_json(DEPENDS)
    assert not final.exists()
    seen: list[bytes] = []

    def continues(folder: Path) -> None:
        seen.append((folder / "checkpoint").read_bytes())
        whole(folder)

    assert store.get_or_build("stage", DEPENDS, continues).built
    assert seen == [b"half"]
    assert not final.with_name(f"{final.name}.building").exists()


def test_killed_build_is_continued(tmp_path: Path) -> None:
    process = start(tmp_path, tmp_path / "log", 60)
    building = tmp_path / "stage" / f"{digest_json(DEPENDS)}.building"
    deadline = time.monotonic() + 60
    while not (building / "checkpoint").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert building.is_dir()
    assert not (building / MANIFEST).exists()

    def continues(folder: Path) -> None:
        assert folder == building
        assert (folder / "checkpoint").exists()
        whole(folder)

    artifact = ArtifactStore(tmp_path).get_or_build("stage", DEPENDS, continues)
    assert artifact.built
    assert not building.exists()


def test_kill_between_manifest_and_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore(tmp_path)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            store.get_or_build("stage", DEPENDS, whole)
    assert store.get_or_build("stage", DEPENDS, whole).built
    assert not store.get_or_build("stage", DEPENDS, never).built


def test_two_processes_build_once(tmp_path: Path) -> None:
    processes = [start(tmp_path, tmp_path / "log", 1) for _ in range(2)]
    answers = sorted(process.communicate(timeout=120)[0].strip() for process in processes)
    assert answers == ["False", "True"]
    assert (tmp_path / "log").read_text() == "built\n"


@pytest.mark.parametrize("damage", ["truncated", "longer", "missing", "a folder instead"])
def test_damaged_artifact_is_refused(tmp_path: Path, damage: str) -> None:
    folder = ArtifactStore(tmp_path).get_or_build("stage", DEPENDS, whole).path
    file = folder / "inner" / "file"
    if damage in ("truncated", "longer"):
        file.write_bytes(b"who" if damage == "truncated" else b"whole and more")
    else:
        file.unlink()
    if damage == "a folder instead":
        file.mkdir()
    with pytest.raises(StoreError, match="where 5 were written") as caught:
        ArtifactStore(tmp_path).get_or_build("stage", DEPENDS, never)
    assert f"Delete {folder}" in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", "null", "7", '{"files": 3}', '{"files": ["abc"]}'])
def test_damaged_manifest_is_refused(tmp_path: Path, content: str) -> None:
    folder = ArtifactStore(tmp_path).get_or_build("stage", DEPENDS, whole).path
    (folder / MANIFEST).write_text(content)
    with pytest.raises(StoreError, match=f"{MANIFEST} is damaged") as caught:
        ArtifactStore(tmp_path).get_or_build("stage", DEPENDS, never)
    assert f"Delete {folder}" in str(caught.value)


def test_full_disk_while_building(tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StoreError, match="No space left"):
        ArtifactStore(tmp_path).get_or_build("stage", DEPENDS, full)
    assert not (tmp_path / "stage" / digest_json(DEPENDS)).exists()


def test_store_that_cannot_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(_: str) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(store_module, "FileLock", read_only)
    with pytest.raises(StoreError, match="Read-only") as caught:
        ArtifactStore(tmp_path).get_or_build("stage", DEPENDS, never)
    assert str(tmp_path) in str(caught.value)
