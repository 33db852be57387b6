"""MATLAB 5 to 7 files, as the guarded child process reads them."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aach_lightning.readers.containers.variable import first_item, first_strings
from aach_lightning.readers.foreign.checks import MAX_CHARACTERS, Listed, dense

_HEADER = 128  # bytes before the first variable
_MATRIX, _COMPRESSED = 14, 15  # the types that a variable has
_READ = frozenset({"cell", "struct", "char", "sparse", "logical", "double", "single"}) | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
"""Classes that are read; objects, functions and handles are not."""


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
        return dense(value) if issparse(value) else value


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
    return bool(items.size) and all(isinstance(first_item(item), str) for item in items)
