"""A table for people, whatever it is written as: HTML, Markdown, LaTeX or CSV."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

Value = float | str | None


@dataclass(frozen=True)
class Cell:
    """One entry.

    Attributes:
        text: As it is shown.
        value: What it sorts by, and what a CSV file holds; None for nothing.
    """

    text: str
    value: Value = None


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Its header.
        group: Header above several columns; "" for none.
        number: Whether it holds numbers.
    """

    name: str
    group: str = ""
    number: bool = True


@dataclass(frozen=True)
class Sheet:
    """One table; the first cell of a row names it.

    Attributes:
        title: Above it.
        note: What the numbers are.
        columns: From left to right.
        rows: Each with as many cells.
    """

    title: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Headers above the columns and the number of columns below each; empty where there are none."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            if found and found[-1][0] == column.group:
                found[-1] = (column.group, found[-1][1] + 1)
            else:
                found.append((column.group, 1))
        return found if any(name for name, _ in found) else []


def words(text: object) -> Cell:
    """A cell of text."""
    return Cell(str(text), str(text))


def number(value: object, form: str = ".3f") -> Cell:
    """A cell of a number; empty for None, NaN, and what is no number.

    Example:
        >>> number(0.25), number(float("nan")).text, number("?").text
        (Cell(text='0.250', value=0.25), '', '')
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return Cell("")
    text = format(value, form)
    if not any(digit in text for digit in "123456789"):  # no minus before nothing
        text = format(abs(value), form)
    return Cell(text, float(value))


def to_values(sheets: Sequence[Sheet]) -> pd.DataFrame:
    """The values of some tables below each other, the title of each in the first column."""
    parts = []
    for sheet in sheets:
        names = [f"{column.group} {column.name}".strip() for column in sheet.columns]
        rows = [[sheet.title, *(cell.value for cell in row)] for row in sheet.rows]
        parts.append(pd.DataFrame(rows, columns=["table", *names]))
    return pd.concat(parts, ignore_index=True)
