"""Sparse matrices made dense, once their indices have been looked at: scipy would write wherever they point."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from aach_lightning.errors import DataError

MAX_ENTRIES = 2**29
"""4 GiB of doubles."""


def dense(matrix: csc_array, where: str) -> NDArray[Any]:
    """Make a matrix dense.

    Args:
        matrix: As it was read; indices may be anything.
        where: File and key, for messages.

    Raises:
        DataError: If an index is wrong, or the dense matrix would have more than MAX_ENTRIES.
    """
    if prod(matrix.shape) > MAX_ENTRIES:
        raise DataError(f"{where}: a sparse matrix of shape {matrix.shape}: more than {MAX_ENTRIES:,} entries")
    rows, starts = np.asarray(matrix.indices), np.asarray(matrix.indptr)
    used = rows[: starts[-1]]
    in_order = starts[0] == 0 and bool((np.diff(starts) >= 0).all()) and starts[-1] <= len(rows)
    if not in_order or (len(used) and not 0 <= used.min() <= used.max() < matrix.shape[0]):
        raise DataError(f"{where}: a damaged sparse matrix: its indices point outside of it")
    return np.asarray(matrix.toarray())
