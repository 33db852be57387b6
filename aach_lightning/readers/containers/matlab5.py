"""MATLAB 5 to 7 files. The format gives a variable as a whole only, and none is larger than 4 GiB.

It has no checksum of uncompressed variables, and scipy's parser can end the process on bytes that were changed inside
one: everything is checked before scipy reads it.
"""

import mmap
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from aach_lightning.errors import DataError
from aach_lightning.readers.containers.matlab_walk import MATRIX, DamagedError, Header, Walk
from aach_lightning.readers.containers.sparse import dense
from aach_lightning.readers.containers.variable import LoadedVariable, Variable

MAX_GROWTH = 600
"""Unpacked by packed bytes of variables above 256 MiB; nothing but one and the same byte comes to 1,030."""
_COMPRESSED = 15
_LARGE = 2**28
_HEADER = 512  # unpacked bytes that hold a header: up to 32 dimensions, and a name
_TEXT = ("char", "cell")


@dataclass(frozen=True)
class StoredVariable:
    """A variable of a file.

    Attributes:
        header: What it is.
        place: Byte of the file at which it starts.
    """

    header: Header
    place: int


def is_matlab5(path: Path) -> bool:
    """Whether a file starts as MATLAB 5 to 7 does."""
    with path.open("rb") as file:
        header = file.read(128)
    return header.startswith(b"MATLAB 5.0 MAT-file") and header[126:128] in (b"IM", b"MI")


def open_matlab5(path: Path) -> dict[str, Variable]:
    """List the variables of a MATLAB 5 file; numbers and strings only, the others are left out.

    Raises:
        DataError: If the file is damaged.
    """
    found: dict[str, Variable] = {}
    for stored in list_matlab5(path):
        key, kind, shape = stored.header.name, stored.header.kind, stored.header.shape
        if kind != "struct":
            shape = shape[:-1] if kind == "char" else shape  # scipy joins the characters of a row
            found[key] = LoadedVariable(path, key, shape, kind in _TEXT, partial(_array, path, stored))
    return found


def list_matlab5(path: Path) -> list[StoredVariable]:
    """List the variables of a MATLAB 5 file but for objects, functions and handles, which nothing here reads.

    Only headers are looked at.

    Raises:
        DataError: If one is damaged, the file ends too early, or two variables have the same name.
    """
    file = _mapped(path)
    found: dict[str, StoredVariable] = {}
    place = 128
    while place < len(file):
        kind, size = _tag(file, place) if place + 8 <= len(file) else (0, 0)
        if kind not in (MATRIX, _COMPRESSED):
            raise DataError(f"{path}: damaged MATLAB 5 file: no variable starts at byte {place:,} of {len(file):,}")
        end = place + 8 + size
        if end > len(file):
            raise DataError(
                f"{path}: damaged MATLAB 5 file: it ends at byte {len(file):,}, its last variable at {end:,}"
            )
        try:
            header = Walk(_unpacked(file, place, _HEADER), _order(file)).start()
        except (DamagedError, zlib.error) as error:
            raise DataError(f"{path}: damaged MATLAB 5 file: the variable at byte {place:,}: {error}") from error
        if header.name in found:
            raise DataError(f"{path}: damaged MATLAB 5 file: two variables are called {header.name!r}")
        if header.name:  # what belongs to objects and functions has none
            found[header.name] = StoredVariable(header, place)
        place = end
    return list(found.values())


def check_matlab5(path: Path, variable: StoredVariable) -> None:
    """Walk through a whole variable; scipy may read it then.

    Raises:
        DataError: If it is damaged, or would take more memory than any variable should.
    """
    file, name = _mapped(path), variable.header.name
    try:
        data = _unpacked(file, variable.place, 8)
        _, whole = Walk(data, _order(file)).tag()
        whole += 8
        size = _tag(file, variable.place)[1]
        if whole > max(_LARGE, MAX_GROWTH * size):
            raise DamagedError(
                f"{size:,} bytes that claim to unpack to {whole:,}: above {_LARGE:,}, at most {MAX_GROWTH} times as "
                f"many as are packed are allowed"
            )
        Walk(_unpacked(file, variable.place, whole, complete=True), _order(file)).check()
    except (DamagedError, zlib.error) as error:
        raise DataError(f"{path}: {name}: damaged: {error}") from error


def _mapped(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: no bytes at all
        raise DataError(f"{path}: {error}") from error
    return mapped


def _order(file: mmap.mmap) -> str:
    return "<" if file[126:128] == b"IM" else ">"


def _tag(file: mmap.mmap, place: int) -> tuple[int, int]:
    kind, size = Struct(f"{_order(file)}II").unpack_from(file, place)
    return int(kind), int(size)


def _unpacked(file: mmap.mmap, place: int, most: int, complete: bool = False) -> bytes | memoryview:
    """The first `most` bytes of a variable, from the tag of its matrix on; `complete` demands that these are all."""
    kind, size = _tag(file, place)
    if kind == MATRIX:
        return memoryview(file)[place : place + 8 + size]
    decoder = zlib.decompressobj()
    data = decoder.decompress(memoryview(file)[place + 8 : place + 8 + size], most)
    # at the end zlib compares its checksum
    if complete and (len(data) != most or decoder.decompress(decoder.unconsumed_tail, 1) or not decoder.eof):
        raise DamagedError(f"it does not unpack to {most:,} bytes, as it states")
    return data


def load_matlab5(path: Path, variable: StoredVariable, struct_as_record: bool = True) -> Any:
    """Check a whole variable and let scipy read it.

    Args:
        path: The file.
        variable: One of those that `list_matlab5` finds there.
        struct_as_record: As scipy's `loadmat` has it.

    Raises:
        DataError: If it is damaged, or would take more memory than any variable should.
    """
    check_matlab5(path, variable)
    name, codec = variable.header.name, "utf-16-le" if _order(_mapped(path)) == "<" else "utf-16-be"
    try:
        options: Any = {"struct_as_record": struct_as_record, "uint16_codec": codec}  # the stubs lack one
        return loadmat(str(path), variable_names=[name], **options)[name]
    except Exception as error:  # scipy's parser raises almost anything
        raise DataError(f"{path}: {name}: damaged: {error}") from error


def _array(path: Path, variable: StoredVariable) -> NDArray[Any]:
    value = load_matlab5(path, variable)
    return dense(value, f"{path}: {variable.header.name}") if variable.header.kind == "sparse" else np.asarray(value)
