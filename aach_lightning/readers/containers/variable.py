"""One array or list of strings of a pack, whatever file it lies in."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import DataError

Numbers = NDArray[np.generic]


class Variable(Protocol):
    """What recognising and reading need to know.

    Attributes:
        file: File that it lies in.
        key: Its name there.
        shape: Axes as the author of the pack saw them: reversed axes of MATLAB v7.3 are already turned back.
        is_text: Whether it holds strings; then only `strings` may be called, else only `rows`.
    """

    file: Path
    key: str
    shape: tuple[int, ...]
    is_text: bool

    @property
    def where(self) -> str:
        """File and key, for messages."""

    def rows(self, axis: int, start: int, stop: int) -> Numbers:
        """Entries start to stop of one axis, that axis moved to the front, the others in their order."""

    def strings(self) -> list[str]:
        """All strings; of a row with several (captions of one image), the first."""


@dataclass
class LoadedVariable:
    """A variable that its file format only gives as a whole; it is read when first needed."""

    file: Path
    key: str
    shape: tuple[int, ...]
    is_text: bool
    load: Callable[[], NDArray[Any]]
    _values: NDArray[Any] | None = field(default=None, repr=False)

    @property
    def where(self) -> str:
        """File and key, for messages."""
        return f"{self.file}: {self.key}"

    def _whole(self) -> NDArray[Any]:
        if self._values is None:
            self._values = self.load()
        return self._values

    def release(self) -> None:
        """Forget the values; they are read again when needed."""
        self._values = None

    def rows(self, axis: int, start: int, stop: int) -> Numbers:
        """See `Variable.rows`."""
        values: Numbers = np.moveaxis(self._whole(), axis, 0)[start:stop]
        return values

    def strings(self) -> list[str]:
        """See `Variable.strings`."""
        return first_strings(self._whole(), self.where)


def first_strings(cells: Any, where: str) -> list[str]:
    """One string a row from MATLAB's nested cells and padded character rows.

    Args:
        cells: Array of strings or of nested arrays of them; N, 1 x N, or N x (texts of one row).
        where: For messages.

    Raises:
        DataError: If something in it is not a string.
    """
    array = np.asarray(cells)
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    return [_first(row, where) for row in np.atleast_1d(array)]


def _first(value: Any, where: str) -> str:
    while isinstance(value, np.ndarray | list | tuple):
        items: Iterable[Any] = value.reshape(-1) if isinstance(value, np.ndarray) else value
        value = next(iter(items), "")  # an empty cell is an empty text
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        raise DataError(f"{where}: a row holds {type(value).__name__} where a string is needed")
    return value.strip()
