"""The report on a folder of runs and benchmarks: a page, and its tables and figures as files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aach_lightning.errors import DataError
from aach_lightning.evaluation.card import Card
from aach_lightning.reports.collect import Collection, Progress, collect, find_cards
from aach_lightning.reports.export import write_csv
from aach_lightning.reports.figure import save_figure
from aach_lightning.reports.material import Material
from aach_lightning.reports.naming import replicate_keys
from aach_lightning.reports.page import Picture, svg_source
from aach_lightning.reports.panels import PANELS
from aach_lightning.reports.panels.panel import Panel
from aach_lightning.reports.sections import make_page
from aach_lightning.reports.sheet import save_sheets
from aach_lightning.runtime.files import write_bytes

PAGE = "index.html"
_INCH = 96  # pixels of a browser
_CELLS = {  # of cells.csv, everything behind tables and figures, with all digits
    **{name: name for name in ("place", "epsilon", "text_epsilon", "direction", "query", "label")},
    **{"paid": "pairs", "needs": "needs", "n": "n", "mean": "map", "low": "low", "high": "high"},
    **{name: name for name in ("drop", "share", "distance", "rms", "psnr", "ssim", "seconds", "items")},
}


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        page: The HTML file.
        found: Runs.
        cards: Of benchmarks.
        skipped: Cards and files beside results that could not be read, with the reason.
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
    material = Material(root, found, tuple(cards), keys, unreadable)
    page = make_page(
        material,
        lambda name: tuple(_save(panel, to / "figures") for panels in PANELS[name] for panel in panels(material)),
        lambda sheets, name: save_sheets(sheets, name, to / "tables"),
    )
    write_csv(material.cells[list(_CELLS)].rename(columns=_CELLS), to / "tables" / "cells.csv")
    write_bytes(to / PAGE, page)
    return Report(to / PAGE, found, cards, tuple(material.skipped))


def _save(panel: Panel, folder: Path) -> Picture:
    for form in ("svg", "png"):
        save_figure(panel.figure, folder / f"{panel.name}.{form}")
    width, height = panel.figure.get_size_inches()
    source = svg_source((folder / f"{panel.name}.svg").read_bytes())
    return Picture(source, panel.alt, round(width * _INCH), round(height * _INCH))
