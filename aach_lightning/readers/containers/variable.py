"""One array or list of strings of a pack, whatever file it lies in."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import DataError

Numbers = NDArray[np.generic]


@dataclass
class Variable(ABC):
    """What recognising and reading need to know.

    Attributes:
        file: File that it lies in.
        key: Its name there.
        shape: Axes as the author of the pack saw them: reversed axes of MATLAB v7.3 are already turned back.
        is_text: Whether it holds strings; then only `strings` may be called, else only `rows`.
        in_parts: Whether rows can be read without the others.
    """

    file: Path
    key: str
    shape: tuple[int, ...]
    is_text: bool
    in_parts: bool

    @property
    def where(self) -> str:
        """File and key, for messages."""
        return f"{self.file}: {self.key}"

    @abstractmethod
    def rows(self, axis: int, start: int, stop: int) -> Numbers:
        """Entries start to stop of one axis, that axis moved to the front, the others in their order."""

    @abstractmethod
    def strings(self) -> list[str]:
        """All strings; of a row with several (captions of one image), the first."""


class LoadedVariable(Variable):
    """Values of this process, mapped or in memory; strings where they are no numbers."""

    def __init__(self, file: Path, key: str, values: NDArray[Any]) -> None:
        super().__init__(file, key, values.shape, values.dtype.kind in "OSU", True)
        self.values = values

    def rows(self, axis: int, start: int, stop: int) -> Numbers:
        """See `Variable`."""
        values: Numbers = np.moveaxis(self.values, axis, 0)[start:stop]
        return values

    def strings(self) -> list[str]:
        """See `Variable`."""
        try:
            return first_strings(self.values)
        except ValueError as error:
            raise DataError(f"{self.where}: {error}") from error


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
    return [_text(first_item(row)) for row in np.atleast_1d(array)]


def first_item(value: Any) -> Any:
    """What stands first in nested arrays; an empty text where they are empty."""
    while isinstance(value, np.ndarray | list | tuple):
        items: Iterable[Any] = value.reshape(-1) if isinstance(value, np.ndarray) else value
        value = next(iter(items), "")  # an empty cell is an empty text
    return value


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise ValueError(f"a row holds {type(text).__name__} where a string is needed")
    return text.strip()
