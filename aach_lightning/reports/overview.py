"""The first screen of a page: what came of the leading setting, in a few numbers."""

import pandas as pd

from aach_lightning.reports.leading import leading_attack
from aach_lightning.reports.measurements import BOUND
from aach_lightning.reports.page import Tile
from aach_lightning.reports.table import DIRECTIONS


def tiles(cells: pd.DataFrame) -> tuple[Tile, ...]:
    """One tile a direction, of one setting; none where nothing was attacked.

    Args:
        cells: Of `headline.cells_of`, one setting.
    """
    attack = leading_attack(cells)
    if attack is None:
        return ()
    shown = []
    for direction, title in DIRECTIONS.items():
        own = cells[cells["direction"] == direction]
        found = own[(own["query"] == "attack") & (own["label"] == attack[0]) & (own["paid"] == attack[1])]
        if found.empty:
            continue
        cell = found.iloc[0]
        share = float(cell["share"])
        number, meaning = f"{cell['drop']:+.3f}", "drop of MAP; no white-box bound was measured"
        if not pd.isna(share):
            paid = f", for {attack[1]:,} queried pairs" if attack[1] else ""
            number, meaning = f"{share:.0%}", f"of the white-box drop{paid}"
        name = f"{attack[0]}, {attack[1]:,} pairs" if attack[1] else attack[0]
        rows = [
            _row(own, "clean", "clean queries"),
            _row(own, "noise", "random noise"),
            (name, _value(cell)),
            _row(own, "white_box", BOUND),
            _row(own, "chance", "chance"),
        ]
        shown.append(Tile(title, number, meaning, tuple(row for row in rows if row is not None)))
    return tuple(shown)


def _row(cells: pd.DataFrame, query: str, name: str) -> tuple[str, str]:
    found = cells[cells["query"] == query]
    return (name, "missing") if found.empty else (name, _value(found.iloc[0]))


def _value(cell: "pd.Series[float]") -> str:
    half = float(cell["high"] - cell["mean"])
    return f"{cell['mean']:.3f}" if pd.isna(half) or half < 0.0005 else f"{cell['mean']:.3f} ±{half:.3f}"
