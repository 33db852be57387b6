"""Rows of pairs by the names that a file from elsewhere gives them."""

import logging
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import DataError

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?", re.ASCII)


class PairNames:
    """Rows by the names of pairs, or by the last part of a path without its suffix.

    Args:
        names: As in `Pairs`. Those of a pack that lists no files are row numbers and do not count as names.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.numbered = all(name == str(row) for row, name in enumerate(names))
        self.shown = ", ".join(names[:3])
        self.exact = _unique(names)
        self.stems = _unique([_stem(name) for name in names])

    def find(self, where: str, entries: Sequence[str], skipped: int) -> NDArray[np.int64] | None:
        """Rows of the entries.

        Args:
            where: File and key, for messages.
            entries: Names, or row numbers in digits.
            skipped: How many pairs were left out of the data: as many names may be missing.

        Returns:
            int64, one row a name found; None if the entries are row numbers.

        Raises:
            DataError: If an entry names no pair, or several.
        """
        found = [self._row(entry) for entry in entries]
        missing = [entry for entry, row in zip(entries, found, strict=True) if row is None]
        if self.numbered or (missing and all(_is_whole(entry) for entry in entries)):
            return None
        if len(missing) > skipped:
            raise DataError(
                f"{where}: {len(missing)} of {len(entries)} names are not in these data, for example {missing[0]!r}; "
                f"theirs are {self.shown}, ..."
            )
        if missing:
            log.warning("%s: left out %s, taken for pairs with a damaged image", where, ", ".join(missing[:10]))
        rows = np.array([row for row in found if row is not None], dtype=np.int64)
        if (rows < 0).any():
            entry = next(entry for entry, row in zip(entries, found, strict=True) if row == -1)
            raise DataError(f"{where}: the name {entry!r} stands for several pairs")
        return rows

    def _row(self, entry: str) -> int | None:
        row = self.exact.get(entry)
        return self.stems.get(_stem(entry)) if row is None and not _is_whole(entry) else row


def _unique(names: Sequence[str]) -> dict[str, int]:
    """Row by name; -1 where a name is not unique."""
    rows: dict[str, int] = {}
    for row, name in enumerate(names):
        rows[name] = -1 if name in rows else row
    return rows


def _stem(name: str) -> str:
    last = name.replace("\\", "/").rpartition("/")[2]
    return last.rpartition(".")[0] or last


def is_number(text: str) -> bool:
    """Whether a text is a number in digits; unlike Python, without underscores: 0001_2124494179 is a photo of NUS-WIDE.

    Example:
        >>> [is_number(text) for text in ("12", "1.000e+00", "0001_2124494179", "im1", "nan")]
        [True, True, False, False, False]
    """
    return _NUMBER.fullmatch(text.strip()) is not None


def _is_whole(entry: str) -> bool:
    return is_number(entry) and float(entry).is_integer()
