"""A table for people, from columns of values, written as HTML (by the page), Markdown, LaTeX with booktabs, and CSV."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from aach_lightning.reports.export import write_csv
from aach_lightning.reports.text import printable
from aach_lightning.runtime.files import write_bytes

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
_SPECIAL = {
    **{"→": r"$\rightarrow$", "ε": r"$\epsilon$", "±": r"$\pm$"},
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
}


class Cell(NamedTuple):
    """One entry: its text, and what it sorts by and a CSV file holds; None for nothing."""

    text: str
    value: float | str | None = None


class Column(NamedTuple):
    """One column.

    Attributes:
        name: Its header.
        form: Format of its numbers, "" for text, "auto" for whole numbers and others as they come.
        group: Header above several columns; "" for none.
    """

    name: str
    form: str = ""
    group: str = ""

    @property
    def number(self) -> bool:
        """Whether it holds numbers."""
        return self.form != ""

    @property
    def title(self) -> str:
        """Both headers in one line."""
        return f"{self.group} {self.name}".strip()


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
        found = [(name, len(list(columns))) for name, columns in groupby(self.columns, lambda column: column.group)]
        return found if any(name for name, _ in found) else []


def make_sheet(title: str, note: str, columns: Mapping[Column, Iterable[object]]) -> Sheet:
    """A table from its columns, each as long as the others.

    Values are text or numbers, formatted as their column says; a `Cell` stays as it is.
    """
    cells = [[cell(value, column.form) for value in values] for column, values in columns.items()]
    return Sheet(title, note, tuple(columns), tuple(zip(*cells, strict=True)))


def cell(value: object, form: str = "") -> Cell:
    """A value as it is shown; nothing for None, NaN, and for text in a column of numbers.

    Example:
        >>> cell(0.25, ".3f"), cell(20.0, ",d").text, cell(float("nan"), ".3f").text, cell("?", ".3f").text
        (Cell(text='0.250', value=0.25), '20', '', '')
    """
    if isinstance(value, Cell):
        return value
    numeric = hasattr(value, "__float__") and not isinstance(value, bool)
    if form == "auto":
        form = "" if not numeric else ",d" if isinstance(value, int) else ".3f"
    if form == "":
        text = "" if value is None or value != value else printable(str(value))
        return Cell(text, text)
    if not numeric or not math.isfinite(value):  # type: ignore[arg-type]
        return Cell("")
    number = float(value)  # type: ignore[arg-type]
    text = format(int(number) if form.endswith("d") else number, form)
    if not any(digit in text for digit in "123456789"):  # no minus before nothing
        text = format(abs(int(number) if form.endswith("d") else number), form)
    return Cell(text, number)


def interval(mean: float, half: float) -> Cell:
    """A mean and half the width of its interval, which is missing where there is one value."""
    return Cell("") if math.isnan(mean) else Cell(f"{mean:.3f}" + ("" if math.isnan(half) else f" ±{half:.3f}"), mean)


def save_sheets(sheets: Sequence[Sheet], name: str, folder: Path) -> None:
    """Write some tables as NAME.md, NAME.tex and NAME.csv; nothing where there is none."""
    if sheets:
        write_bytes(folder / f"{name}.md", markdown(sheets).encode("utf-8", "backslashreplace"))
        write_bytes(folder / f"{name}.tex", latex(sheets).encode("utf-8", "backslashreplace"))
        write_csv(to_values(sheets), folder / f"{name}.csv")


def to_values(sheets: Sequence[Sheet]) -> pd.DataFrame:
    """The values of some tables below each other, the title of each in the first column."""
    parts = []
    for sheet in sheets:
        rows = [[sheet.title, *(entry.value for entry in row)] for row in sheet.rows]
        parts.append(pd.DataFrame(rows, columns=["table", *(column.title for column in sheet.columns)]))
    return pd.concat(parts, ignore_index=True)


def markdown(sheets: Sequence[Sheet]) -> str:
    """Some tables below each other; what a person brought is text, never markup."""

    def plain(text: str) -> str:
        return _MARKUP.sub(r"\\\1", printable(text))

    parts = []
    for sheet in sheets:
        rows = [[column.title for column in sheet.columns], *([entry.text for entry in row] for row in sheet.rows)]
        lines = ["| " + " | ".join(map(plain, row)) + " |" for row in rows]
        lines.insert(1, "|" + "|".join("---:" if column.number else "---" for column in sheet.columns) + "|")
        parts.append("\n".join([f"## {plain(sheet.title)}", "", plain(sheet.note), "", *lines, ""]))
    return "\n".join(parts)


def latex(sheets: Sequence[Sheet]) -> str:
    r"""Some tables below each other for `\usepackage{booktabs}`, each a float with a caption."""
    parts = []
    for sheet in sheets:
        names = [(_escaped(column.group), _escaped(column.name)) for column in sheet.columns]
        texts = [[_escaped(entry.text) for entry in row] for row in sheet.rows]
        # groups of equal name that are not neighbours would be one, and two columns of one name too
        heads = pd.MultiIndex.from_tuples(names) if sheet.groups else pd.Index([name for _, name in names])
        style = pd.DataFrame(texts, columns=heads).style.hide(axis="index")
        text = style.to_latex(
            hrules=True,
            column_format="".join("r" if column.number else "l" for column in sheet.columns),
            multicol_align="c",
            position="t",
            position_float="centering",
            caption=f"{_escaped(sheet.title)}. {_escaped(sheet.note)}",
        )
        parts.append(str(text))
    return "% needs \\usepackage{booktabs}\n" + "\n".join(parts)


def _escaped(text: str) -> str:
    r"""Text for LaTeX.

    Example:
        >>> print(_escaped("50% of a_b ± 1"))
        50\% of a\_b $\pm$ 1
    """
    return "".join(_SPECIAL.get(character, character) for character in printable(text))
