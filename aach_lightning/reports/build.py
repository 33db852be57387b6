"""The report on a folder of runs and benchmarks: a page, and its tables and figures as files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from aach_lightning.errors import DataError
from aach_lightning.evaluation.card import Card
from aach_lightning.reports.card_files import find_cards
from aach_lightning.reports.collect import Collection, collect
from aach_lightning.reports.export import write_csv
from aach_lightning.reports.figure import save_figure
from aach_lightning.reports.headline import cells_of
from aach_lightning.reports.measurements import measurements
from aach_lightning.reports.page import Picture, render, svg_source
from aach_lightning.reports.panels.panel import Panel
from aach_lightning.reports.sections import Material, make_page
from aach_lightning.reports.sheet import Sheet, to_values
from aach_lightning.reports.summary import replicate_keys
from aach_lightning.reports.typeset import latex, markdown
from aach_lightning.runtime.files import write_bytes

PAGE = "index.html"
_INCH = 96  # pixels of a browser
Progress = Callable[[list[Path]], Iterator[Path]]


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        page: The HTML file.
        found: Runs.
        cards: Of benchmarks.
        skipped: Files that could not be read, with the reason.
    """

    page: Path
    found: Collection
    cards: Sequence[Card]
    skipped: tuple[tuple[Path, str], ...]


def build(root: Path, to: Path, over: str = "seed", progress: Progress = iter) -> Report:
    """Write the report.

    Args:
        root: Holds runs, sweeps or benchmarks, at any depth.
        to: Where the files go.
        over: Keys whose combinations are the replicates, separated by commas.
        progress: Gives back files one by one, and may draw a bar.

    Raises:
        DataError: If there is no such folder, or nothing in it.
        ConfigError: If no run has a key of `over`.
        StoreError: If a file cannot be written.
    """
    found = collect(root, progress)
    cards, unreadable = find_cards(root, progress)
    if found.frame.empty and not cards:
        raise DataError(
            f"there is no result and no card below {root}: attack.py writes {root / '...' / 'result.json'} once it has "
            f"ended, the benchmark {root / '...' / 'cards'}"
        )
    keys = replicate_keys(over, found.configs) if found.configs else ("seed",)
    table = measurements(found, cards, keys)
    cells = cells_of(table)

    def draw(panel: Panel) -> Picture:
        return _save(panel, to / "figures")

    def write(name: str, sheets: Sequence[Sheet]) -> None:
        _write(name, sheets, to / "tables")

    material = Material(root, found, tuple(cards), tuple(unreadable), cells, keys, draw, write)
    page, skipped = make_page(material)
    write_csv(_long(cells), to / "tables" / "cells.csv")
    write_bytes(to / PAGE, render(page).encode("utf-8", "backslashreplace"))
    return Report(to / PAGE, found, cards, (*found.skipped, *unreadable, *skipped))


def _save(panel: Panel, folder: Path) -> Picture:
    for form in ("svg", "png"):
        save_figure(panel.figure, folder / f"{panel.name}.{form}")
    width, height = panel.figure.get_size_inches()
    source = svg_source((folder / f"{panel.name}.svg").read_bytes())
    return Picture(source, panel.alt, round(width * _INCH), round(height * _INCH))


def _write(name: str, sheets: Sequence[Sheet], folder: Path) -> None:
    if not sheets:
        return
    write_bytes(folder / f"{name}.md", markdown(sheets).encode("utf-8", "backslashreplace"))
    write_bytes(folder / f"{name}.tex", latex(sheets).encode("utf-8", "backslashreplace"))
    write_csv(to_values(sheets), folder / f"{name}.csv")


def _long(cells: pd.DataFrame) -> pd.DataFrame:
    """Everything behind tables and figures, with all digits."""
    columns = ["place", "epsilon", "text_epsilon", "direction", "query", "label", "paid", "needs", "n", "mean", "low"]
    columns += ["high", "drop", "share", "distance", "rms", "psnr", "ssim", "seconds", "items"]
    return cells[columns].rename(columns={"paid": "pairs", "mean": "map"})
