"""The artifact store: each stage's output under the hash of what it depends on, built once, whole or absent."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from aach_lightning.errors import StoreError
from aach_lightning.runtime import ranks
from aach_lightning.runtime.files import PART, digest_json, disk_errors, sync_directory, write_json

log = logging.getLogger(__name__)

MANIFEST = "artifact.json"
CHECKPOINTS = "checkpoints"  # folder in an unfinished build; no part of what is built


@dataclass(frozen=True)
class Artifact:
    """A finished stage output.

    Attributes:
        path: Folder that holds the files.
        key: Hash of everything the output depends on.
        built: True if this call built it, False if it was found.
    """

    path: Path
    key: str
    built: bool


class ArtifactStore:
    """Folders `root/<stage>/<key>`, each complete once it has its manifest.

    A stage is built in `root/<stage>/<key>.building`, under a lock, and renamed when it is whole. A killed build leaves
    that folder behind; the next build of the same key gets it back and may continue from the checkpoints in it. The
    processes of a run build together: `build` is called on each of them, and the first one holds the lock.

    Args:
        root: Folder of the store; may be shared by processes and machines with working file locks.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def get_or_build(self, stage: str, depends_on: dict[str, Any], build: Callable[[Path], None]) -> Artifact:
        """Return the artifact for `depends_on`, calling `build` only when it does not exist.

        Args:
            stage: Name of the stage, the folder inside the store.
            depends_on: Everything that the output depends on, as JSON values.
            build: Writes the output's files into the folder it is given.

        Raises:
            StoreError: If the stored artifact is damaged, or the disk cannot be written.
        """
        key = digest_json(depends_on)
        final = self.root / stage / key
        building = final.with_name(f"{key}.building")
        with disk_errors(final), _alone(final):
            if ranks.on_first(lambda: self._find(stage, final, building)):
                return Artifact(final, key, built=False)
            with disk_errors(building):
                build(building)
                ranks.barrier()  # what the other processes wrote is complete
                ranks.on_first(lambda: self._finish(stage, final, building, depends_on))
        return Artifact(final, key, built=True)

    def _find(self, stage: str, final: Path, building: Path) -> bool:
        """Whether it is there; else make a folder to build it in."""
        if (final / MANIFEST).exists():
            self._check(final)
            log.info("%s: found %s", stage, final)
            return True
        if building.exists():
            log.info("%s: continuing the unfinished build in %s", stage, building)
        building.mkdir(exist_ok=True)
        for part in building.rglob(f".*{PART}"):  # half-written when the build was killed
            part.unlink()
        (building / MANIFEST).unlink(missing_ok=True)  # of a build that was killed just before the rename
        return False

    @staticmethod
    def _finish(stage: str, final: Path, building: Path, depends_on: dict[str, Any]) -> None:
        found = sorted(path.relative_to(building) for path in building.rglob("*") if path.is_file())
        files = {str(file): (building / file).stat().st_size for file in found if file.parts[0] != CHECKPOINTS}
        write_json(building / MANIFEST, {"stage": stage, "depends_on": depends_on, "files": files})
        building.rename(final)
        sync_directory(final.parent)
        shutil.rmtree(final / CHECKPOINTS, ignore_errors=True)

    @staticmethod
    def _check(folder: Path) -> None:
        try:
            files = dict(json.loads((folder / MANIFEST).read_text())["files"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{folder / MANIFEST} is damaged ({error}). Delete {folder} to build it anew.") from error
        for name, size in files.items():
            found = (folder / name).stat().st_size if (folder / name).is_file() else None
            if found != size:
                raise StoreError(
                    f"{folder / name} has {found} bytes where {size} were written. Delete {folder} to build it anew."
                )


@contextmanager
def _alone(final: Path) -> Iterator[None]:
    """Hold the lock of an artifact, on the first process for all."""
    lock = FileLock(str(final.with_name(f"{final.name}.lock")))

    def acquire() -> None:
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("%s: waiting for another job that builds %s", final.parent.name, final)
            lock.acquire()

    ranks.on_first(acquire)
    try:
        yield
    finally:
        lock.release()
