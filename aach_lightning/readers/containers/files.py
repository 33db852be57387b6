"""All variables of the files of a pack: HDF5 and MATLAB, one array a .npy file, one image or row of labels a line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import ConfigError, DataError
from aach_lightning.readers.containers.roles import read_key
from aach_lightning.readers.containers.variable import LoadedVariable, Variable
from aach_lightning.readers.foreign.checks import file_kind
from aach_lightning.readers.foreign.guard import foreign_variables

MAX_TEXT_BYTES = 2**30
_SUFFIXES = (".mat", ".h5", ".hdf5", ".npy", ".txt")


def pack_files(path: Path) -> tuple[Path, ...]:
    """The files of a pack: the file itself, or those of a folder that can be one, by name.

    Raises:
        ConfigError: If there is none.
    """
    if path.is_file():
        return (path,)
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES) if path.is_dir() else []
    files = tuple(file for file in found if file.is_file())
    if not files:
        raise ConfigError(f"data.path={path}: must be a file, or a folder with files {', '.join(_SUFFIXES)}")
    return files


def open_variables(path: Path) -> dict[str, Variable]:
    """Open every file of a pack by its first bytes.

    Args:
        path: A file or a folder.

    Returns:
        Variables by key; the key of a .npy or .txt file is its stem.

    Raises:
        ConfigError: If there is no such file, or h5py is needed and missing.
        DataError: If a file is damaged or of a kind that is not read, or two files have the same key.
    """
    variables: dict[str, Variable] = {}
    for file in pack_files(path):
        if file != path and file.suffix.lower() in (".npy", ".txt") and read_key(file.stem) is None:
            continue  # a readme, or what another program has left
        for key, variable in _open(file).items():
            if key in variables:
                raise DataError(
                    f"{variable.where}: the key {key} stands in {variables[key].where} too; keep one pack a folder"
                )
            variables[key] = variable
    return variables


def _open(file: Path) -> Mapping[str, Variable]:
    try:
        if file_kind(file) is not None:
            return foreign_variables(file)
        with file.open("rb") as start:
            if start.read(6) == b"\x93NUMPY" or file.suffix == ".npy":
                return open_npy(file)
    except OSError as error:
        raise DataError(f"{file}: {error}") from error
    if file.suffix.lower() == ".txt":
        return open_lines(file)
    raise DataError(
        f"{file}: neither HDF5 (MATLAB v7.3), nor MATLAB 5, nor .npy, nor a .txt list by its first bytes. It may be a "
        f"truncated or wrong download."
    )


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
