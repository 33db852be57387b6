"""HDF5 files, MATLAB v7.3 among them, read in parts."""

from dataclasses import dataclass, field
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from aach_lightning.errors import ConfigError, DataError
from aach_lightning.readers.containers.sparse import MAX_ENTRIES, dense
from aach_lightning.readers.containers.variable import LoadedVariable, Numbers, Variable, first_strings

SIGNATURE = b"\x89HDF\r\n\x1a\n"
USER_BLOCK = 512  # MATLAB puts its own header before the signature
MAX_CHARACTERS = 2**27
"""Of all strings of one variable together; each string counts as 32 more."""
MAX_CHUNK = 2**30  # bytes; to read one row, HDF5 unpacks whole chunks
_CHUNK_CACHE = 64 * 2**20  # bytes; compressed chunks often span more rows than one read


def is_hdf5(path: Path) -> bool:
    """Whether a file starts as HDF5 does, with or without MATLAB's header."""
    with path.open("rb") as file:
        start = file.read(USER_BLOCK + len(SIGNATURE))
    return start.startswith(SIGNATURE) or start[USER_BLOCK:] == SIGNATURE


@dataclass
class Hdf5Variable:
    """A data set of an HDF5 file."""

    file: Path
    key: str
    shape: tuple[int, ...]
    is_text: bool
    data: Any  # h5py has no types
    is_reversed: bool
    _left: int = field(default=0, init=False, repr=False)

    @property
    def where(self) -> str:
        """File and key, for messages."""
        return f"{self.file}: {self.key}"

    def rows(self, axis: int, start: int, stop: int) -> Numbers:
        """See `Variable.rows`."""
        chunks = self.data.chunks
        if chunks and prod(chunks) * self.data.dtype.itemsize > MAX_CHUNK:
            raise DataError(f"{self.where}: it lies in chunks of {chunks}, more than {MAX_CHUNK:,} bytes each")
        stored = self.data.ndim - 1 - axis if self.is_reversed else axis
        index = tuple(slice(start, stop) if at == stored else slice(None) for at in range(self.data.ndim))
        try:
            values = self.data[index]
        except Exception as error:  # h5py raises OSError, RuntimeError or KeyError for damaged chunks
            raise DataError(f"{self.where}: cannot read it: {error}") from error
        turned: Numbers = np.moveaxis(values.T if self.is_reversed else values, axis, 0)
        return turned

    def strings(self) -> list[str]:
        """See `Variable.strings`."""
        self._left = MAX_CHARACTERS
        try:
            values = self._cell(self.data)
        except DataError:
            raise
        except Exception as error:  # see rows
            raise DataError(f"{self.where}: cannot read it: {error}") from error
        return first_strings(values, self.where)

    def _cell(self, data: Any, depth: int = 0) -> Any:
        import h5py

        if depth > 4:  # image, captions, one caption: more is a loop of references
            raise DataError(f"{self.where}: cells nested deeper than 4")
        self._left -= data.size + 32
        if self._left < 0:
            raise DataError(f"{self.where}: more than {MAX_CHARACTERS:,} characters")
        values = data[()].T if self.is_reversed else data[()]
        if h5py.check_ref_dtype(data.dtype) is not None:
            nested = np.empty(values.shape, dtype=object)
            for place in np.ndindex(values.shape):
                nested[place] = self._cell(data.file[values[place]], depth + 1)
            return nested
        if data.attrs.get("MATLAB_empty", 0):
            return ""
        if h5py.check_string_dtype(data.dtype) is not None:
            return values
        lines = np.atleast_2d(values.astype(np.uint16))  # MATLAB's characters are UTF-16
        texts = [line.astype("<u2").tobytes().decode("utf-16-le", "replace").rstrip("\0") for line in lines]
        return texts[0] if depth and len(texts) == 1 else np.array(texts, dtype=object)


def _dense(group: Any, shape: tuple[int, int], path: Path, key: str) -> NDArray[Any]:
    """MATLAB's sparse matrix: values, their rows, and where each column starts; no values at all if all are zero."""
    try:
        if any(group[name].size > MAX_ENTRIES for name in group):
            raise ValueError(f"more than {MAX_ENTRIES:,} values or indices")
        starts = group["jc"][()].astype(np.int64)
        stored = {name: group[name][()] if name in group else np.zeros(0) for name in ("data", "ir")}
        matrix = csc_array((stored["data"].astype(np.float64), stored["ir"].astype(np.int64), starts), shape=shape)
    except Exception as error:  # see Hdf5Variable.rows; scipy raises ValueError for indices outside
        raise DataError(f"{path}: {key}: cannot read it: {error}") from error
    return dense(matrix, f"{path}: {key}")


def _list(found: dict[str, Variable], path: Path, key: str, data: Any, matlab: bool) -> None:
    import h5py

    if not data.shape:
        return
    is_text = (
        h5py.check_ref_dtype(data.dtype) is not None
        or h5py.check_string_dtype(data.dtype) is not None
        or data.attrs.get("MATLAB_class") == b"char"
    )
    is_reversed = matlab or "MATLAB_class" in data.attrs
    shape = tuple(data.shape[::-1] if is_reversed else data.shape)
    found[key] = Hdf5Variable(path, key, shape, is_text, data, is_reversed)


def open_hdf5(path: Path, groups: bool = False) -> dict[str, Variable]:
    """List the data sets at the top level of an HDF5 file.

    Args:
        path: The file.
        groups: List those one level deeper too, such as the fields of MATLAB's structs, as `group.name`.

    Raises:
        ConfigError: If h5py is not installed.
        DataError: If the file is damaged.
    """
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(
            f"{path} is HDF5 (MATLAB v7.3), which needs h5py: pip install 'aach-lightning[containers]'"
        ) from error
    try:
        file = h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE)
        matlab = file.userblock_size > 0
        found: dict[str, Variable] = {}
        for key, data in file.items():
            if isinstance(data, h5py.Dataset):
                _list(found, path, str(key), data, matlab)
            elif "MATLAB_sparse" in data.attrs:
                shape = (int(data.attrs["MATLAB_sparse"]), len(data["jc"]) - 1)
                found[str(key)] = LoadedVariable(path, str(key), shape, False, partial(_dense, data, shape, path, key))
            elif groups and not str(key).startswith("#"):  # MATLAB's own begin with it
                for name, field in data.items():
                    if isinstance(field, h5py.Dataset):
                        _list(found, path, f"{key}.{name}", field, matlab)
    except Exception as error:  # h5py raises OSError, RuntimeError, KeyError or ValueError for damaged files
        raise DataError(f"{path}: damaged HDF5 file: {error}") from error
    return found
