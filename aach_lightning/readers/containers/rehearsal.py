"""HDF5 files read by another process first: a damaged one can end the process that reads it, or keep it for ever."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from aach_lightning.data.content import content_key
from aach_lightning.errors import DataError
from aach_lightning.readers.containers.hdf5 import Hdf5Variable, is_hdf5, open_hdf5
from aach_lightning.runtime.files import write_atomically

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds that the other process may take, and one more for each MB of the file."""
_PROGRAM = "import sys; from aach_lightning.readers.containers.rehearsal import read_all; read_all(sys.argv[1])"
_BLOCK = 2**26  # bytes
_BLOCKS = 16  # read of a large array; the processes that convert all of it are others


def rehearse(files: Sequence[Path], cache: Path) -> None:
    """Have another process read HDF5 files, once for each content.

    Args:
        files: Those of other formats are passed over.
        cache: Folder in which it is kept which contents have been read.

    Raises:
        DataError: If that process was ended by a signal or came to no end. Other damage is left to the reader, which
            can tell more about it.
    """
    for file in files:
        if is_hdf5(file):
            mark = cache / "contents" / f"{content_key(file, cache)}.readable"
            if not mark.exists() and _try(file) == 0:
                write_atomically(mark, lambda _: None)


def _try(file: Path) -> int:
    log.info("%s is read by another process first, in case that it is damaged", file)
    patience = PATIENCE + file.stat().st_size / 1e6
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(file)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=patience,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{file}: damaged HDF5 file: reading it comes to no end ({patience:.0f} s)") from error
    if ended < 0:
        raise DataError(f"{file}: damaged HDF5 file: reading it ends a process ({signal.Signals(-ended).name})")
    return ended


def read_all(path: str) -> None:
    """Read all strings and numbers of an HDF5 file, and blocks from all over its large arrays."""
    try:
        for variable in open_hdf5(Path(path)).values():
            if variable.is_text:
                variable.strings()
            elif isinstance(variable, Hdf5Variable):
                rows = len(variable.data)
                step = max(1, _BLOCK * rows // max(variable.data.nbytes, 1))
                starts = range(0, rows, step)
                for start in starts[:: max(1, len(starts) // _BLOCKS)]:
                    # the first axis as it is stored, along which HDF5 reads fast
                    axis = variable.data.ndim - 1 if variable.is_reversed else 0
                    variable.rows(axis, start, min(start + step, rows))
            else:
                variable.rows(0, 0, 1)
    except DataError:
        pass  # see `rehearse`
