"""A split from a file, as rows of the data at hand."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aach_lightning.data.pairs import Pairs
from aach_lightning.data.protocol import Rows, complete_split
from aach_lightning.data.splits import Split
from aach_lightning.errors import ConfigError, DataError
from aach_lightning.readers.containers.roles import KNOWN, read_part_key
from aach_lightning.readers.containers.variable import Variable
from aach_lightning.readers.foreign.guard import reading
from aach_lightning.readers.split_files.formats import open_split_file
from aach_lightning.readers.split_files.pair_names import PairNames, is_number

log = logging.getLogger(__name__)


@reading()
def load_split(path: Path, pairs: Pairs, *, first_row: int | None, train: int | None, seed: int) -> Split:
    """Read a split.json of an earlier run, or a split in any form that `open_split_file` reads.

    A part is a list of row numbers or of names; names are those of the pairs, or end in the same file name. A missing
    database is all but the queries; a missing train part is drawn from the database.

    Args:
        path: File or folder.
        pairs: The data that are split.
        first_row: The number of the first row, 0 or 1; None to tell it from the numbers.
        train: Size of a train part that is drawn; None for the whole database.
        seed: Of that draw and of the order of the queries. The order of a split.json is kept.

    Raises:
        ConfigError: If it cannot be told whether rows are counted from 0 or 1, row numbers cannot be trusted because
            pairs were left out, or h5py is needed and missing.
        DataError: If the file is damaged, a row or name is not of these data, or the parts break the rules of `Split`.
    """
    variables = open_split_file(path)
    if {"hash", "query", "train", "database"} <= variables.keys():
        split = Split.load(path)
        _check_range(path, {part: getattr(split, part) for part in ("query", "train", "database")}, 0, len(pairs))
        return _logged(split, path, pairs)
    parts = _find_parts(path, variables)
    named, numbered = {}, {}
    names = None
    for part, variable in parts.items():
        entries, rows = _entries(path, variable, len(pairs) + pairs.skipped), None
        if isinstance(entries, list):
            names = names or PairNames(pairs.names)
            rows = names.find(f"split.file={path}: {variable.key}", entries, pairs.skipped)
        if rows is None:
            numbered[part] = _whole_numbers(path, variable.key, entries)
        else:
            named[part] = rows
    if numbered and pairs.skipped:
        raise ConfigError(
            f"split.file={path} holds row numbers, but {pairs.skipped} pairs with damaged images were left out of "
            f"{pairs.name}, so rows have moved. Repair the images, or use a file with names."
        )
    first = _first_row(path, numbered, len(pairs)) if first_row is None and numbered else first_row or 0
    _check_range(path, numbered, first, len(pairs))
    rows_of = {**named, **{part: numbers - first for part, numbers in numbered.items()}}
    for part, rows in rows_of.items():
        values, times = np.unique(rows, return_counts=True)
        if len(values) < len(rows):
            again = values[times > 1][0]
            raise DataError(
                f"split.file={path}: {parts[part].key}: {pairs.names[again]} (row {again} from 0) stands there twice"
            )
    try:
        split = complete_split(
            rows_of["query"],
            rows_of.get("train"),
            rows_of.get("database"),
            pairs=len(pairs),
            most_train=train,
            seed=seed,
            origin=f"split.file={path}",
        )
    except DataError as error:
        raise DataError(f"split.file={path}: {error}") from error
    return _logged(split, path, pairs)


def _logged(split: Split, path: Path, pairs: Pairs) -> Split:
    used = len(split.query) + len(split.database)
    message = "split.file=%s: query %d, train %d, database %d; %d of %d pairs are in no part"
    log.info(message, path, len(split.query), len(split.train), len(split.database), len(pairs) - used, len(pairs))
    return split


def _find_parts(path: Path, variables: Mapping[str, Variable]) -> dict[str, Variable]:
    found: dict[str, Variable] = {}
    for key, variable in variables.items():
        part = read_part_key(key)
        if part is None:
            continue
        if part in found:
            raise DataError(f"split.file={path}: the keys {found[part].key} and {key} both stand for the {part} part")
        found[part] = variable
    if "query" not in found:
        keys = ", ".join(variables) or "none"
        raise DataError(f"split.file={path}: no query part among the keys found: {keys[:500]}. Known words are {KNOWN}")
    return found


def _entries(path: Path, variable: Variable, most: int) -> list[str] | NDArray[np.generic]:
    where = f"split.file={path}: {variable.key}"
    if variable.is_text:
        entries: list[str] | NDArray[np.generic] = variable.strings()
    else:
        count = int(np.prod(variable.shape))
        if max(variable.shape, default=0) != count or count > most:
            raise DataError(
                f"{where}: shape {variable.shape}; needed is one list of rows or names, at most {most:,} as these data"
            )
        axis = variable.shape.index(count)
        entries = variable.rows(axis, 0, count).reshape(-1)
    if not len(entries):
        raise DataError(f"{where}: is empty; leave a part out that is not given")
    return entries


def _whole_numbers(path: Path, key: str, entries: list[str] | NDArray[np.generic]) -> Rows:
    """Row numbers as int64, still counted as in the file."""
    if isinstance(entries, list):
        strange = [entry for entry in entries if not is_number(entry)]
        if strange:
            raise DataError(f"split.file={path}: {key}: names such as {strange[0]!r}, but these data have none")
        entries = np.array([float(entry) for entry in entries])
    numbers = entries
    if numbers.dtype.kind not in "iuf":
        raise DataError(f"split.file={path}: {key}: holds {numbers.dtype}; needed are row numbers or names")
    values = numbers.astype(np.float64)
    wrong = np.flatnonzero(~(np.abs(values) < 2**53) | (values != np.rint(values)))
    if len(wrong):
        raise DataError(f"split.file={path}: {key}: entry {wrong[0]} (from 0) is {numbers[wrong[0]]}, not a row number")
    return values.astype(np.int64)


def _first_row(path: Path, numbered: Mapping[str, Rows], pairs: int) -> int:
    """Whether rows are counted from 0 or from 1: all of them must lie in the data."""
    low, high = min(int(rows.min()) for rows in numbered.values()), max(int(rows.max()) for rows in numbered.values())
    possible = [first for first in (0, 1) if first <= low and high < pairs + first]
    if not possible:
        part = next(part for part, rows in numbered.items() if int(rows.min()) == low or int(rows.max()) == high)
        raise DataError(
            f"split.file={path}: its rows run from {low} to {high} (see the {part} part); these data have {pairs} "
            f"pairs: allowed are 0 to {pairs - 1}, or 1 to {pairs}"
        )
    if len(possible) == 2:
        raise ConfigError(
            f"split.file={path}: its rows run from {low} to {high} of {pairs} pairs, so they may be counted from 0 or "
            f"from 1: set split.first_row=0 (as Python counts) or split.first_row=1 (as MATLAB counts)"
        )
    return possible[0]


def _check_range(path: Path, numbered: Mapping[str, Rows], first: int, pairs: int) -> None:
    for part, rows in numbered.items():
        wrong = rows[(rows < first) | (rows >= pairs + first)]
        if len(wrong):
            raise DataError(
                f"split.file={path}: {part} part: {len(wrong)} of {len(rows)} rows are not in these data, for example "
                f"{wrong[0]}; allowed are {first} to {pairs + first - 1}, counted from {first}"
            )
