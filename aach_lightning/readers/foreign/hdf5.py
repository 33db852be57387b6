"""HDF5 files, MATLAB v7.3 among them, as the guarded child process reads them."""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aach_lightning.readers.containers.variable import first_strings
from aach_lightning.readers.foreign.checks import MAX_CHARACTERS, MAX_ENTRIES, Listed, dense

MAX_CHUNK = 2**30  # bytes; to read one row, HDF5 unpacks whole chunks
_CHUNK_CACHE = 64 * 2**20  # bytes; compressed chunks often span more rows than one read
_DEPTH = 4  # image, captions, one caption: cells nested deeper are a loop of references


class Hdf5File:
    """The data sets of an open HDF5 file.

    Args:
        path: The file.
        fields: List those one level deeper too, such as the fields of MATLAB's structs, as `group.name`.
    """

    def __init__(self, path: Path, fields: bool) -> None:
        import h5py

        self.file = h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE, locking=False)
        self.found: dict[str, Any] = {}
        self._left = 0
        for key, data in self.file.items():
            if isinstance(data, h5py.Dataset) or "MATLAB_sparse" in data.attrs:
                self.found[key] = data
            elif fields and not key.startswith("#"):  # MATLAB's own begin with it
                self.found |= {f"{key}.{name}": it for name, it in data.items() if isinstance(it, h5py.Dataset)}

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def listing(self) -> list[Listed]:
        """All data sets that have a shape."""
        listed: list[Listed] = []
        for key, data in self.found.items():
            if "MATLAB_sparse" in data.attrs:
                listed.append((key, (int(data.attrs["MATLAB_sparse"]), len(data["jc"]) - 1), False, False))
            elif data.shape:
                shape = data.shape[::-1] if self._is_reversed(data) else data.shape
                is_text = self._holds(data, "ref") or self._holds(data, "string")
                listed.append((key, shape, is_text or data.attrs.get("MATLAB_class") == b"char", True))
        return listed

    def rows(self, key: str, axis: int, start: int, stop: int) -> NDArray[Any]:
        """Entries start to stop of one axis, that axis moved to the front."""
        data = self.found[key]
        if "MATLAB_sparse" in data.attrs:
            return np.moveaxis(self._sparse(data), axis, 0)[start:stop]
        if data.chunks and prod(data.chunks) * data.dtype.itemsize > MAX_CHUNK:
            raise ValueError(f"it lies in chunks of {data.chunks}, more than {MAX_CHUNK:,} bytes each")
        is_reversed = self._is_reversed(data)
        stored = data.ndim - 1 - axis if is_reversed else axis
        values = data[tuple(slice(start, stop) if at == stored else slice(None) for at in range(data.ndim))]
        return np.moveaxis(values.T if is_reversed else values, axis, 0)

    def strings(self, key: str) -> list[str]:
        """All strings; of a row with several, the first."""
        data = self.found[key]
        self._left = MAX_CHARACTERS
        self._spend(data)
        values = data[()].T if self._is_reversed(data) else data[()]
        if not self._holds(data, "ref"):
            return first_strings(values if self._holds(data, "string") else self._lines(values))
        rows = values.reshape(-1) if values.ndim == 2 and 1 in values.shape else values.reshape(len(values), -1)[:, 0]
        return [self._follow(reference) for reference in rows]

    def _follow(self, reference: Any) -> str:
        """The string that a cell refers to; of cells inside it, the first."""
        for _ in range(_DEPTH):
            data = self.file[reference]
            if data.attrs.get("MATLAB_empty", 0) or not data.size:
                return ""
            self._spend(data)
            if not self._holds(data, "ref"):
                values = data[()].T if self._is_reversed(data) else data[()]
                return first_strings([values if self._holds(data, "string") else self._lines(values)])[0]
            reference = data[(0,) * data.ndim]
        raise ValueError(f"cells nested deeper than {_DEPTH}")

    def _spend(self, data: Any) -> None:
        self._left -= data.size + 32
        if self._left < 0:
            raise ValueError(f"more than {MAX_CHARACTERS:,} characters")

    def _is_reversed(self, data: Any) -> bool:
        return self.file.userblock_size > 0 or "MATLAB_class" in data.attrs

    @staticmethod
    def _holds(data: Any, what: str) -> bool:
        import h5py

        return (h5py.check_ref_dtype if what == "ref" else h5py.check_string_dtype)(data.dtype) is not None

    @staticmethod
    def _lines(values: NDArray[Any]) -> NDArray[Any]:
        lines = np.atleast_2d(values.astype(np.uint16))  # MATLAB's characters are UTF-16
        texts = [line.astype("<u2").tobytes().decode("utf-16-le", "replace").rstrip("\0") for line in lines]
        return np.array(texts, dtype=object)

    @staticmethod
    def _sparse(group: Any) -> NDArray[Any]:
        """MATLAB's sparse matrix: values, their rows, and where each column starts; no values if all are zero."""
        from scipy.sparse import csc_array

        if any(group[name].size > MAX_ENTRIES for name in group):
            raise ValueError(f"more than {MAX_ENTRIES:,} values or indices")
        stored = {name: group[name][()] if name in group else np.zeros(0) for name in ("data", "ir", "jc")}
        columns = (stored["data"].astype(float), stored["ir"].astype(np.int64), stored["jc"].astype(np.int64))
        return dense(csc_array(columns, shape=(int(group.attrs["MATLAB_sparse"]), len(columns[2]) - 1)))
