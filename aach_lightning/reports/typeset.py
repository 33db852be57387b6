"""Tables as Markdown and as LaTeX with booktabs."""

import re
from collections.abc import Sequence

import pandas as pd

from aach_lightning.reports.sheet import Sheet
from aach_lightning.reports.text import printable

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
_SYMBOLS = {"→": r"$\rightarrow$", "ε": r"$\epsilon$", "±": r"$\pm$"}


def markdown(sheets: Sequence[Sheet]) -> str:
    """Some tables below each other; what a person brought is text, never markup."""
    return "\n".join(_markdown(sheet) for sheet in sheets)


def _markdown(sheet: Sheet) -> str:
    heads = [f"{column.group} {column.name}".strip() for column in sheet.columns]
    rules = ["---:" if column.number else "---" for column in sheet.columns]
    rows = [heads, *([cell.text for cell in row] for row in sheet.rows)]
    lines = ["| " + " | ".join(map(_plain, row)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join(rules) + "|")
    return "\n".join([f"## {_plain(sheet.title)}", "", _plain(sheet.note), "", *lines, ""])


def _plain(text: str) -> str:
    return _MARKUP.sub(r"\\\1", printable(text))


def latex(sheets: Sequence[Sheet]) -> str:
    r"""Some tables below each other for `\usepackage{booktabs}`, each a float with a caption."""
    head = "% needs \\usepackage{booktabs}\n"
    return head + "\n".join(_latex(sheet) for sheet in sheets)


def _latex(sheet: Sheet) -> str:
    names = [(_escaped(column.group), _escaped(column.name)) for column in sheet.columns]
    # groups of equal name that are not neighbours would be one, and two columns of one name too
    columns = pd.MultiIndex.from_tuples(names) if sheet.groups else pd.Index([name for _, name in names])
    texts = [[_escaped(cell.text) for cell in row] for row in sheet.rows]
    frame = pd.DataFrame(texts, columns=columns)
    return str(
        frame.style.hide(axis="index").to_latex(
            hrules=True,
            column_format="".join("r" if column.number else "l" for column in sheet.columns),
            multicol_align="c",
            position="t",
            position_float="centering",
            caption=f"{_escaped(sheet.title)}. {_escaped(sheet.note)}",
        )
    )


def _escaped(text: str) -> str:
    r"""Text for LaTeX.

    Example:
        >>> print(_escaped("50% of a_b ± 1"))
        50\% of a\_b $\pm$ 1
    """
    return "".join(_SPECIAL.get(character, character) for character in printable(text))


_SPECIAL = {
    **_SYMBOLS,
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}
