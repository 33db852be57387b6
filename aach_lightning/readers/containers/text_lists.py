"""The text-list form: one array a .npy file, one image, text or row of labels a line of a .txt file."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import DataError
from aach_lightning.readers.containers.variable import LoadedVariable, Variable

MAX_TEXT_BYTES = 2**30


def open_npy(path: Path) -> dict[str, Variable]:
    """Map one .npy file; its key is the file's stem.

    Raises:
        DataError: If it is damaged or holds pickled objects, which could run code.
    """
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy's parser of a damaged header raises almost anything
        reason = "it holds pickled objects, which could run code" if "bject" in str(error) else str(error)
        raise DataError(f"{path}: refused: {reason}") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biufU":
        raise DataError(f"{path}: holds {getattr(values, 'dtype', 'an archive')}; needed are numbers or strings")
    return {path.stem: LoadedVariable(path, path.stem, values)}


def open_lines(path: Path) -> dict[str, Variable]:
    """Read a .txt file: numbers where every line is one row of numbers of the same length, else strings.

    Raises:
        DataError: If it is not UTF-8 or larger than 1 GiB.
    """
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise DataError(f"{path}: {path.stat().st_size:,} bytes, more than {MAX_TEXT_BYTES:,} allowed")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {error}") from error
    values = _numbers(lines)
    if values is None:
        values = np.array(lines, dtype=object)
    return {path.stem: LoadedVariable(path, path.stem, values)}


def _numbers(lines: list[str]) -> NDArray[Any] | None:
    rows = [line.replace(",", " ").split() for line in lines]
    width = len(rows[0]) if rows else 0
    if not width or any(len(row) != width for row in rows):
        return None
    try:
        return np.array(rows, dtype=np.float32)
    except ValueError:
        return None
