"""What the panels of a page share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from aach_lightning.reports.figure import BLUE, INK, VERMILION, Axes, Dashes, Figure, drawable, new_panel
from aach_lightning.reports.table import DIRECTIONS, NAMES

WIDTH, HEIGHT = 4.8, 3.6  # inches: readable on a phone
GREY = "#767b82"
MARKERS = "osD^vPX"
NEEDS = {"nothing": (GREY, "o"), "codes": (BLUE, "s"), "weights": (VERMILION, "D")}
LEVELS: dict[str, tuple[str, Dashes]] = {
    "clean": (INK, "-"),
    "chance": (GREY, (0, (8, 2, 1, 2))),
    "noise": (GREY, (0, (1, 1.5))),
    "white_box": (INK, (0, (5, 2))),
}
_LONGEST = 30


@dataclass(frozen=True)
class Panel:
    """One picture of a page.

    Attributes:
        name: Of its files, without ending.
        alt: What it shows, for whoever does not see it.
        figure: Drawn.
    """

    name: str
    alt: str
    figure: Figure


def new_direction(direction: str, height: float = HEIGHT, further: str = "") -> tuple[Figure, Axes]:
    """A panel with the direction above it."""
    figure, axes = new_panel(WIDTH, height)
    axes.set_title(drawable(f"{DIRECTIONS[direction]}{further}", 70), fontsize=10, parse_math=False)
    return figure, axes


def directions_of(cells: pd.DataFrame) -> list[str]:
    """Directions that occur."""
    return [direction for direction in DIRECTIONS if (cells["direction"] == direction).any()]


def style_of(needs: Any) -> tuple[str, str]:
    """Colour and marker by what an attacker needs."""
    return NEEDS.get(str(needs).split(",")[0], (GREY, "o"))


def name_of(row: Any) -> str:
    """An attacker in a few words: its label, and M where it paid pairs."""
    label = drawable(str(row.label), _LONGEST)
    return f"{label}, M = {row.paid:,}" if row.paid else label


def level(query: str) -> str:
    """A reference in words."""
    return NAMES.get(query, query)


def explain_needs(axes: Axes, needs: "pd.Series[str]") -> None:
    """Legend entries of the colours that occur."""
    for need, (colour, marker) in NEEDS.items():
        if needs.str.startswith(need).any():
            axes.plot([], [], color=colour, marker=marker, linestyle="none", label=f"needs {need}")


def spoken(values: Sequence[tuple[str, float]]) -> str:
    """Names and numbers for whoever does not see a picture."""
    return "; ".join(f"{name}: {value:.3f}" for name, value in values)
