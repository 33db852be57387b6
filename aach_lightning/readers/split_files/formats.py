"""The files in which splits are found: JSON, .npz, MATLAB 5 and v7.3, a table, or a folder of .npy and .txt lists."""

import csv
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import DataError
from aach_lightning.readers.containers.files import open_npy
from aach_lightning.readers.containers.roles import KNOWN, read_part_key
from aach_lightning.readers.containers.variable import LoadedVariable, Variable
from aach_lightning.readers.foreign.checks import file_kind
from aach_lightning.readers.foreign.guard import foreign_variables
from aach_lightning.readers.split_files.pair_names import is_number

MAX_BYTES = 2**28
_HEADERS = frozenset({"part", "split", "set", "subset", "partition", "phase"})
_DEPTH = 4  # a file, its fold, its parts, their rows


def open_split_file(path: Path) -> Mapping[str, Variable]:
    """List what a file or folder holds by key; of fields of a struct or dict, the key is `outer.inner`.

    Nothing is unpickled, and files of text larger than 256 MiB are refused.

    Raises:
        ConfigError: If h5py is needed and missing.
        DataError: If it is damaged, too large, or of a kind that is not read.
    """
    try:
        if path.is_dir():
            return _folder(path)
        if file_kind(path) is not None:
            return foreign_variables(path, fields=True)
        with path.open("rb") as file:
            start = file.read(6)
        if start == b"\x93NUMPY":
            return open_npy(path)
        if start.startswith(b"PK"):
            return _npz(path)
        text = _text(path)
    except OSError as error:
        raise DataError(f"split.file={path}: {error}") from error
    if text.lstrip()[:1] in ("{", "["):
        return {key: _variable(path, key, value) for key, value in _leaves(parse_json(path, text))}
    return _table(path, text)


def parse_json(path: Path, text: str) -> Mapping[str, Any]:
    """Parse a JSON object.

    Raises:
        DataError: If it is none.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"split.file={path}: cannot read it as JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"split.file={path}: a list, where an object with the parts as keys is needed ({KNOWN})")
    return content


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"split.file={path}: {path.stat().st_size:,} bytes, more than {MAX_BYTES:,} allowed")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"split.file={path}: neither JSON, .npz, .npy, MATLAB 5, HDF5 (MATLAB v7.3) nor text: {error}"
        ) from error


def _leaves(content: Mapping[str, Any], before: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            if depth < _DEPTH:
                yield from _leaves(value, f"{before}{key}.", depth + 1)
        else:
            yield f"{before}{key}", value


def _variable(path: Path, key: str, value: Any) -> Variable:
    """A list of row numbers or of names; of what is no part only the key counts."""
    items = value if isinstance(value, list) else [value]
    kinds = {type(item) for item in items} if read_part_key(key) else {str}
    if not kinds <= {int, float} and kinds != {str}:
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"split.file={path}: {key}: holds {found}; needed is a list of row numbers or of names")
    try:
        dtype = object if kinds == {str} else np.float64 if float in kinds else np.int64
        return LoadedVariable(path, key, np.array(items, dtype=dtype))
    except OverflowError as error:
        raise DataError(f"split.file={path}: {key}: {error}") from error


def _npz(path: Path) -> dict[str, Variable]:
    found: dict[str, Variable] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                if read_part_key(key) is None:
                    values: NDArray[Any] = np.empty(0)  # not needed: only its key is shown
                elif sizes.get(key, 0) > MAX_BYTES:
                    raise DataError(f"split.file={path}: {key}: more than {MAX_BYTES:,} bytes")
                else:
                    values = np.asarray(arrays[key])
                found[key] = LoadedVariable(path, key, values)
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise almost anything for damaged archives
        reason = "it holds pickled objects, which could run code" if "bject array" in str(error) else str(error)
        raise DataError(f"split.file={path}: refused: {reason}") from error
    return found


def _folder(path: Path) -> dict[str, Variable]:
    found: dict[str, Variable] = {}
    for file in sorted(path.iterdir()):
        if read_part_key(file.stem) is None or not file.is_file():
            continue
        if file.suffix.lower() == ".npy":
            found.update(open_npy(file))
        elif file.suffix.lower() in (".txt", ".lst"):
            found[file.stem] = _variable(file, file.stem, _lines(_text(file)))
    if not found:
        raise DataError(f"split.file={path}: no .npy and no .txt file there is called after a part ({KNOWN})")
    return found


def _lines(text: str) -> list[str]:
    """One entry a line; of lines with 0/1 labels after a name the name, of lines of numbers every number."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    if rows and all(len(row) > 1 and not is_number(row[0]) and set(row[1:]) <= {"0", "1"} for row in rows):
        return [row[0] for row in rows]
    numbers = [token for row in rows for token in ",".join(row).split(",") if token]
    if all(is_number(token) for token in numbers):
        return numbers
    return [line.strip() for line in text.splitlines() if line.strip()]


def _table(path: Path, text: str) -> dict[str, Variable]:
    """Lines of which the first column names a pair and the last a part; a train pair is in the database too."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = next((sign for sign in ",;\t" if sign in first), None)
    try:
        lines = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True) if delimiter else None
        rows = [row for row in lines or map(str.split, text.splitlines()) if row]
    except csv.Error as error:
        raise DataError(f"split.file={path}: {error}") from error
    parts: dict[str, list[str]] = {"query": [], "train": [], "database": []}
    for number, row in enumerate(rows, 1):
        part = read_part_key(row[-1]) if len(row) > 1 else None
        if part is not None:
            parts[part].append(row[0])
        elif number > 1 or row[-1].strip().lower() not in _HEADERS:
            raise DataError(
                f"split.file={path}: entry {number}, {' '.join(row)[:80]!r}: its last column must be a part ({KNOWN})"
            )
    if parts["database"]:
        parts["database"] = list(dict.fromkeys([*parts["database"], *parts["train"]]))
    return {part: _variable(path, part, names) for part, names in parts.items() if names}
