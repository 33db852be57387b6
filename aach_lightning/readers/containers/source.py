"""All variables of a file or of the files of one folder."""

from collections.abc import Mapping
from pathlib import Path

from aach_lightning.errors import ConfigError, DataError
from aach_lightning.readers.containers.roles import read_key
from aach_lightning.readers.containers.text_lists import open_lines, open_npy
from aach_lightning.readers.containers.variable import Variable
from aach_lightning.readers.foreign.checks import file_kind
from aach_lightning.readers.foreign.guard import foreign_variables

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
