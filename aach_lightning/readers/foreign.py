"""The program of the guarded child process (see `guard`): reads MATLAB and HDF5 files and writes numbers to a pipe.

scipy's and HDF5's parsers believe what a file says: a damaged one can end the process that reads it, or fill its
memory. Here that ends this process alone. It is started as a file of its own and imports nothing of this package, so
that it starts in a third of a second.
"""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAX_ENTRIES = 2**29
"""Of a sparse matrix made dense: 4 GiB of doubles."""
MAX_CHARACTERS = 2**27
"""Of all strings of one variable together; each string counts as 32 more."""
MAX_CHUNK = 2**30  # bytes; to read one row, HDF5 unpacks whole chunks
_CHUNK_CACHE = 64 * 2**20  # bytes; compressed chunks often span more rows than one read
_DEPTH = 4  # image, captions, one caption: cells nested deeper are a loop of references
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK = 512  # bytes of its own that MATLAB puts before the signature
_HEADER = 128  # bytes of a MATLAB 5 file before its first variable
_MATRIX, _COMPRESSED = 14, 15  # the types that a variable of a MATLAB 5 file has
_READ = frozenset({"cell", "struct", "char", "sparse", "logical", "double", "single"}) | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
"""Classes of MATLAB that are read; objects, functions and handles are not."""

Listed = tuple[str, tuple[int, ...], bool, bool]
"""Key, shape, whether it holds strings, and whether rows of it can be read without the others."""


def file_kind(path: Path) -> str | None:
    """HDF5 (MATLAB v7.3 among them) or MATLAB 5 by the first bytes of a file; None if it is neither."""
    with path.open("rb") as file:
        start = file.read(_USER_BLOCK + len(_SIGNATURE))
    if start.startswith(_SIGNATURE) or start[_USER_BLOCK:] == _SIGNATURE:
        return "HDF5"
    is_matlab = start.startswith(b"MATLAB 5.0 MAT-file") and start[126:128] in (b"IM", b"MI")
    return "MATLAB 5" if is_matlab else None


def first_strings(cells: Any) -> list[str]:
    """One string a row from MATLAB's nested cells and padded character rows.

    Args:
        cells: Array of strings or of nested arrays of them; N, 1 x N, or N x (texts of one row).

    Raises:
        ValueError: If something in it is not a string.
    """
    array = np.asarray(cells)
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    return [_text(_first(row)) for row in np.atleast_1d(array)]


def _first(value: Any) -> Any:
    while isinstance(value, np.ndarray | list | tuple):
        items: Iterable[Any] = value.reshape(-1) if isinstance(value, np.ndarray) else value
        value = next(iter(items), "")  # an empty cell is an empty text
    return value


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise ValueError(f"a row holds {type(text).__name__} where a string is needed")
    return text.strip()


def _dense(matrix: Any) -> NDArray[Any]:
    """A sparse matrix as an array, once its indices have been looked at."""
    if prod(matrix.shape) > MAX_ENTRIES:
        raise ValueError(f"a sparse matrix of shape {matrix.shape}: more than {MAX_ENTRIES:,} entries")
    columns = matrix.tocsc()
    columns.check_format(full_check=True)
    return np.asarray(columns.toarray())


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
                return first_strings([_first(values if self._holds(data, "string") else self._lines(values))])[0]
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
        return _dense(csc_array(columns, shape=(int(group.attrs["MATLAB_sparse"]), len(columns[2]) - 1)))


class Matlab5File:
    """The variables of a MATLAB 5 to 7 file, which gives each as a whole only.

    Args:
        path: The file.
        fields: List what is inside cells and structs too, as `variable.field` and `variable.number`.
    """

    def __init__(self, path: Path, fields: bool) -> None:
        from scipy.io import whosmat

        self.path = path
        self.order = _check_ends(path)
        listed = [(key, tuple(shape), kind) for key, shape, kind in whosmat(str(path)) if kind in _READ]
        twice = [key for key, times in Counter(key for key, *_ in listed).items() if times > 1]
        if twice:
            raise ValueError(f"two variables are called {twice[0]!r}")
        self.inside: dict[str, Any] = {}
        self.last: tuple[str, Any] | None = None
        self.listed: list[Listed] = []
        for key, shape, kind in listed:
            if fields and kind in ("cell", "struct"):
                self.inside |= dict(_leaves(key, self._load(key)))
            elif kind != "struct":
                self.listed.append((key, shape, kind in ("char", "cell"), False))
        self.listed += [(key, np.shape(value), _is_text(value), False) for key, value in self.inside.items()]

    def close(self) -> None:
        """Forget what was read."""
        self.inside, self.last = {}, None

    def listing(self) -> list[Listed]:
        """All variables but structs."""
        return self.listed

    def rows(self, key: str, axis: int, start: int, stop: int) -> NDArray[Any]:
        """Entries start to stop of one axis, that axis moved to the front."""
        return np.moveaxis(np.asarray(self._whole(key)), axis, 0)[start:stop]

    def strings(self, key: str) -> list[str]:
        """All strings; of a row with several, the first."""
        texts = first_strings(self._whole(key))
        if sum(map(len, texts)) > MAX_CHARACTERS:
            raise ValueError(f"more than {MAX_CHARACTERS:,} characters")
        return texts

    def _whole(self, key: str) -> Any:
        if key in self.inside:
            return self.inside[key]
        if self.last is None or self.last[0] != key:  # one at a time: each may have 4 GiB
            self.last = None
            self.last = (key, self._load(key))
        return self.last[1]

    def _load(self, key: str) -> Any:
        from scipy.io import loadmat
        from scipy.sparse import issparse

        codec = "utf-16-le" if self.order == "<" else "utf-16-be"
        options: Any = {"struct_as_record": False, "uint16_codec": codec}  # the stubs lack one
        value: Any = loadmat(str(self.path), variable_names=[key], **options)[key]
        return _dense(value) if issparse(value) else value


def _check_ends(path: Path) -> str:
    """The order of bytes, "<" or ">", of a file in which every variable ends before the file does."""
    with path.open("rb") as file:
        order = "<" if file.read(_HEADER)[126:] == b"IM" else ">"
        end, place = path.stat().st_size, _HEADER
        while place < end:
            file.seek(place)
            tag = file.read(8)
            kind, size = Struct(f"{order}II").unpack(tag) if len(tag) == 8 else (0, 0)
            if kind not in (_MATRIX, _COMPRESSED):
                raise ValueError(f"no variable starts at byte {place:,} of {end:,}")
            place += 8 + size
    if place > end:
        raise ValueError(f"it ends at byte {end:,}, its last variable at {place:,}")
    return order


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Arrays and lists of strings inside cells and structs, by the names and numbers on the way to them."""
    is_cells = isinstance(value, np.ndarray) and value.dtype == object
    only = value.item() if is_cells and value.size == 1 else value
    if hasattr(only, "_fieldnames"):  # a struct; MATLAB wraps it into an array of one
        for name in only._fieldnames:
            yield from _leaves(f"{key}.{name}", getattr(only, name))
    elif is_cells and value.size and not _is_text(value):
        for number, item in enumerate(value.ravel(order="F")):
            yield from _leaves(f"{key}.{number}", item)
    elif isinstance(value, np.ndarray):
        yield key, value


def _is_text(value: NDArray[Any]) -> bool:
    items = value.reshape(-1) if value.dtype == object else value.reshape(-1)[:1]
    return bool(items.size) and all(isinstance(_first(item), str) for item in items)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more: a line of JSON each; numbers follow their line as bytes.

    A request names the file, `fields`, and what to do: `listing`, `rows` or `strings` with their arguments. The file
    stays open until a request names another one or none.
    """
    file: Hdf5File | Matlab5File | None = None
    opened: Any = None
    for line in requests:
        request, found = json.loads(line), None
        content = memoryview(b"")
        try:
            wanted = _identity(request)
            if file is not None and wanted != opened:
                file.close()
                file = None
            if file is None and wanted is not None:
                path = Path(request["path"])
                file, opened = (Hdf5File if file_kind(path) == "HDF5" else Matlab5File)(path, request["fields"]), wanted
            if file is not None:
                found = getattr(file, request["do"])(*request["arguments"])
            answer: dict[str, Any] = {"found": found}
            if isinstance(found, np.ndarray):
                values = np.ascontiguousarray(found)
                answer = {"dtype": values.dtype.str, "shape": values.shape}
                content = values.reshape(-1).view(np.uint8).data
        except MemoryError:
            answer = {"error": "it needs more memory than a file may take"}
        except Exception as error:  # both libraries raise almost anything
            answer = {"error": str(error) or type(error).__name__}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.write(content)
        answers.flush()


def _identity(request: dict[str, Any]) -> tuple[Any, ...] | None:
    if not request["path"]:
        return None
    status = Path(request["path"]).stat()
    return request["path"], request["fields"], status.st_ino, status.st_size, status.st_mtime_ns


def _limit_memory(size: int) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    except (ImportError, ValueError, OSError):  # not everywhere
        pass


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and this process ends with it
    _limit_memory(int(sys.argv[1]))
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints does not go into the pipe
    serve(sys.stdin.buffer, pipe)
