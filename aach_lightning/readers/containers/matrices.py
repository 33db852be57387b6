"""Texts and labels of a pack as N rows, whichever way round they lie."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import DataError
from aach_lightning.readers.containers.variable import Variable

MAX_CLASSES = 10_000
MAX_ENTRIES = 2**31
"""Of one matrix: 8 GiB of 4-byte numbers. HDF5 files of a few bytes can claim any shape."""
_ROWS = 4096  # read at a time


def counts(variable: Variable) -> set[int]:
    """The numbers of rows that a matrix can have: the length of either axis."""
    return {len(variable.strings())} if variable.is_text else set(variable.shape)


def read_matrix(variable: Variable, count: int) -> NDArray[np.generic]:
    """Read a matrix with `count` rows; the rows of a square one are its first axis, as its author saw it.

    Returns:
        N x columns: uint8 where every value is 0 or 1, else float32.

    Raises:
        DataError: If it is not a matrix of numbers, no axis has that length, or a value is NaN or infinite.
    """
    if not 1 <= len(variable.shape) <= 2 or count not in variable.shape or 0 in variable.shape:
        raise DataError(f"{variable.where}: shape {variable.shape} has no axis for {count} pairs")
    if prod(variable.shape) > MAX_ENTRIES:
        raise DataError(f"{variable.where}: shape {variable.shape} has more than {MAX_ENTRIES:,} entries")
    axis = variable.shape.index(count)
    width = prod(variable.shape) // count
    binary: NDArray[np.generic] = np.empty((count, width), dtype=np.uint8)
    real: NDArray[np.generic] | None = None
    for start in range(0, count, _ROWS):
        block = variable.rows(axis, start, min(start + _ROWS, count)).reshape(-1, width)
        if block.dtype.kind not in "biuf":
            raise DataError(f"{variable.where}: holds {block.dtype}, needed are real numbers")
        if block.dtype.kind == "f" and not np.isfinite(block).all():
            row = start + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
            raise DataError(f"{variable.where}: row {row} (from 0) holds NaN or infinity")
        if real is None and not ((block == 0) | (block == 1)).all():
            real = np.empty((count, width), dtype=np.float32)
            real[:start] = binary[:start]
        target = binary if real is None else real
        target[start : start + len(block)] = block
    return binary if real is None else real


def read_labels(variable: Variable, count: int) -> NDArray[np.uint8]:
    """Read labels: 0/1 rows, or one whole class number a pair.

    Returns:
        uint8 in {0, 1}, N x C; of class numbers, one column for each number from the smallest to the largest.

    Raises:
        DataError: If they are neither, or as `read_matrix`.
    """
    if variable.is_text:
        raise DataError(f"{variable.where}: holds strings; labels must be 0/1 rows or class numbers")
    values = read_matrix(variable, count)
    if values.shape[1] > 1:
        if values.dtype != np.uint8:
            raise DataError(f"{variable.where}: labels must be 0 or 1, found {np.min(values)} to {np.max(values)}")
        return values.astype(np.uint8)
    numbers = values[:, 0].astype(np.float64)
    classes = numbers.astype(np.int64)
    spread = int(classes.max() - classes.min()) + 1
    if (numbers != classes).any() or spread > MAX_CLASSES:
        raise DataError(
            f"{variable.where}: one column must hold whole class numbers, at most {MAX_CLASSES:,} of them; found "
            f"{numbers.min()} to {numbers.max()}"
        )
    marks = np.zeros((count, spread), dtype=np.uint8)
    marks[np.arange(count), classes - classes.min()] = 1
    return marks
