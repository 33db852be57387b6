"""What is looked at before a foreign file is read: its kind by the first bytes, and how much it may hold."""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_ENTRIES = 2**29
"""Of a sparse matrix made dense: 4 GiB of doubles."""
MAX_CHARACTERS = 2**27
"""Of all strings of one variable together."""
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK = 512  # bytes of its own that MATLAB puts before the signature

Listed = tuple[str, tuple[int, ...], bool, bool]
"""Of a variable its key, shape, whether it holds strings, and whether rows of it can be read without the others."""


def file_kind(path: Path) -> str | None:
    """HDF5 (MATLAB v7.3 among them) or MATLAB 5 by the first bytes of a file; None if it is neither."""
    with path.open("rb") as file:
        start = file.read(_USER_BLOCK + len(_SIGNATURE))
    if start.startswith(_SIGNATURE) or start[_USER_BLOCK:] == _SIGNATURE:
        return "HDF5"
    is_matlab = start.startswith(b"MATLAB 5.0 MAT-file") and start[126:128] in (b"IM", b"MI")
    return "MATLAB 5" if is_matlab else None


def dense(matrix: Any) -> NDArray[Any]:
    """A sparse matrix as an array, once its indices have been looked at."""
    if prod(matrix.shape) > MAX_ENTRIES:
        raise ValueError(f"a sparse matrix of shape {matrix.shape}: more than {MAX_ENTRIES:,} entries")
    columns = matrix.tocsc()
    columns.check_format(full_check=True)
    return np.asarray(columns.toarray())
