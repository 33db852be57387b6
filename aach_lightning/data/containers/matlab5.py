"""MATLAB 5 to 7 files. The format gives a variable as a whole only, and none is larger than 2 GiB.

It has no checksum of uncompressed variables, and scipy's parser can end the process on bytes that were changed inside
one; files that end too early are told before scipy reads them.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, whosmat

from aach_lightning.data.containers.variable import LoadedVariable, Variable
from aach_lightning.runtime.errors import DataError

_ELEMENTS = (14, 15)  # a matrix, and a compressed one
_TEXT = ("char", "cell")
_NUMBERS = (
    "double",
    "single",
    "sparse",
    "logical",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)


def is_matlab5(path: Path) -> bool:
    """Whether a file starts as MATLAB 5 to 7 does."""
    with path.open("rb") as file:
        header = file.read(128)
    return header.startswith(b"MATLAB 5.0 MAT-file") and header[126:128] in (b"IM", b"MI")


def open_matlab5(path: Path) -> dict[str, Variable]:
    """List the variables of a MATLAB 5 file; numbers and strings only, objects and functions are left out.

    Raises:
        DataError: If the file is damaged.
    """
    _check_length(path)
    try:
        listed = whosmat(str(path))
    except Exception as error:  # scipy's parser of a damaged file raises almost anything
        raise DataError(f"{path}: damaged MATLAB 5 file: {error}") from error
    found: dict[str, Variable] = {}
    for key, shape, kind in listed:
        if kind in _TEXT or kind in _NUMBERS:
            found[key] = LoadedVariable(path, key, tuple(shape), kind in _TEXT, _Load(path, key))
    return found


def _check_length(path: Path) -> None:
    """Walk from variable to variable: scipy takes a file that ends inside one for one with fewer variables."""
    size, place = path.stat().st_size, 128
    with path.open("rb") as file:
        file.seek(126)
        order: Literal["little", "big"] = "little" if file.read(2) == b"IM" else "big"
        while place < size:
            file.seek(place)
            tag = file.read(8)
            kind = int.from_bytes(tag[:4], order)
            if len(tag) < 8 or kind not in _ELEMENTS:
                raise DataError(f"{path}: damaged MATLAB 5 file: no variable starts at byte {place:,} of {size:,}")
            place += 8 + int.from_bytes(tag[4:], order)
    if place != size:
        raise DataError(f"{path}: damaged MATLAB 5 file: it ends at byte {size:,}, its last variable at {place:,}")


class _Load:
    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key

    def __call__(self) -> NDArray[Any]:
        try:
            value = loadmat(str(self.path), variable_names=[self.key])[self.key]
        except Exception as error:  # see open_matlab5
            raise DataError(f"{self.path}: {self.key}: damaged: {error}") from error
        to_array = getattr(value, "toarray", None)  # of a sparse matrix
        return np.asarray(value if to_array is None else to_array())
