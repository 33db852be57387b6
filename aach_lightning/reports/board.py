"""The leaderboard as a page and as files."""

from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from aach_lightning.reports.export import write_csv
from aach_lightning.reports.leaderboard import PLACE, Leaderboard
from aach_lightning.reports.page import Page, Section, render
from aach_lightning.reports.sheet import Cell, Column, Sheet, number, to_values, words
from aach_lightning.reports.text import printable
from aach_lightning.reports.typeset import latex, markdown
from aach_lightning.runtime.files import write_bytes

NAME = "leaderboard"
_COUNTED = {"bits": "d", "attacked": ",d", "pairs": ",d", "items": ",.4g", "epsilon": ".4g"}
_MEASURED = {"map": "MAP", "drop": "drop", "share": "of bound", "rms": "RMS", "psnr": "PSNR, dB", "seeds": "seeds"}
_FORMS = {"drop": "+.3f", "share": ".0%", "rms": ".4f", "psnr": ".1f", "seeds": "d"}

_TERMINAL = ("data", "target", "K", "defence", "direction", "method", "pairs", "ε", "MAP", "of bound", "seeds")


def leaderboard_sheet(board: Leaderboard) -> Sheet:
    """The one table."""
    columns = [Column(title, number=name in _COUNTED) for name, title in PLACE.items()]
    columns += [Column(title) for title in _MEASURED.values()]
    return Sheet(
        "Leaderboard",
        "MAP of the attacked target: lower is stronger; mean ± half of the 95 % interval (Student) over seeds. "
        "Of bound: drop as a share of the white-box drop in that benchmark. ε: 1/255 on images, units of an entry on "
        "texts, words where texts are edited.",
        tuple(columns),
        tuple(_cells(row) for row in board.table.to_dict("records")),
    )


def _cells(row: dict[Any, Any]) -> tuple[Cell, ...]:
    places = [number(row[name], _COUNTED[name]) if name in _COUNTED else words(row[name]) for name in PLACE]
    half = number(row["half"])
    score = Cell(f"{row['map']:.3f}" + (f" ±{half.text}" if half.text else ""), float(row["map"]))
    return (*places, score, *(number(row[name], form) for name, form in _FORMS.items()))


def save_leaderboard(board: Leaderboard, to: Path) -> Path:
    """Write leaderboard.html, .md, .tex and .csv, all of the same rows; the page says what stays out, and why."""
    sheet = leaderboard_sheet(board)
    write_bytes(to / f"{NAME}.md", markdown([sheet]).encode("utf-8", "backslashreplace"))
    write_bytes(to / f"{NAME}.tex", latex([sheet]).encode("utf-8", "backslashreplace"))
    write_csv(to_values([sheet]), to / f"{NAME}.csv")
    lines = tuple(f"{path.name}: {reason}" for path, reason in board.rejected)
    sections = [Section("results", "Results", sheets=(sheet,))]
    if lines:
        sections.append(Section("rejected", "Cards that stay out", intro="They break their own claims.", lines=lines))
    facts = (f"{len(board.table):,} rows", f"{len(board.rejected):,} cards rejected")
    page = Page("Leaderboard", facts, (), (), "", tuple(sections))
    write_bytes(to / f"{NAME}.html", render(page).encode("utf-8", "backslashreplace"))
    return to / f"{NAME}.html"


def terminal_table(board: Leaderboard) -> Table:
    """The same in few columns: what is equal in all rows is said once, above."""
    sheet = leaderboard_sheet(board)
    shown = [place for place, column in enumerate(sheet.columns) if column.name in _TERMINAL]
    equal = [place for place in shown if len({row[place].text for row in sheet.rows}) == 1 and len(sheet.rows) > 1]
    said = ", ".join(f"{sheet.columns[place].name} {sheet.rows[0][place].text}" for place in equal)
    table = Table(box=SIMPLE_HEAD, show_edge=False, title=Text(printable(said)), title_justify="left")
    shown = [place for place in shown if place not in equal]
    for place in shown:
        number_column = sheet.columns[place].number
        table.add_column(sheet.columns[place].name, justify="right" if number_column else "left", no_wrap=number_column)
    for row in sheet.rows:
        table.add_row(*(Text(printable(row[place].text)) for place in shown))
    return table
