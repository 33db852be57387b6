"""What all pictures share: canvas, colours, lines with intervals, text that the font can draw, files.

The only file with matplotlib.
"""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes as Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike

from aach_lightning.runtime.files import write_atomically

BLUE, VERMILION = "#0072b2", "#d55e00"  # of Okabe and Ito: told apart by colour-blind readers too
INK, GREY, GRID = "#1f2328", "#767b82", "#e4e4e4"
# Of Okabe and Ito too, without the yellow that white paper swallows.
PALETTE = (BLUE, VERMILION, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b4f2a")
MARKERS = "osD^vPX*"
Dashes = Literal["-"] | tuple[float, tuple[float, ...]]
DASHES: dict[str, Dashes] = {
    "attack": "-",
    "white_box": (0, (5, 2)),
    "noise": (0, (1, 1.5)),
    "clean": "-",
    "chance": (0, (8, 2, 1, 2)),
}
_MISSING = "□"
_DPI = 110
_CLOSEST = 0.08  # of two tick labels, as a share of the axis
_DOUBLING = 4  # ratio of last to first value from which an axis has a logarithmic scale


def new_figure(width: float, height: float) -> Figure:
    """A figure that needs no display.

    Args:
        width: Inches.
        height: Inches.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_panel(width: float, height: float) -> tuple[Figure, Axes]:
    """One panel for a page: little frame, light grid, one colour for all that is written.

    Args:
        width: Inches.
        height: Inches.
    """
    with rc_context({"text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK}):
        figure = new_figure(width, height)
        axes = figure.subplots()
    axes.tick_params(colors=INK, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, atomically; the same figure gives the same bytes.

    Args:
        figure: Drawn by the caller.
        path: Ends in .png or .svg.
    """
    form = path.suffix[1:]
    buffer = BytesIO()
    with rc_context({"svg.hashsalt": "aach_lightning"}):
        figure.savefig(buffer, dpi=_DPI, format=form, metadata={"Software" if form == "png" else "Date": None})
    write_atomically(path, lambda file: file.write(buffer.getvalue()))


def ordered_colours(count: int) -> list[str]:
    """Colours from dark to light for ordered values: plasma without its pale end; lightness alone tells them apart."""
    return [to_hex(colormaps["plasma"](0.8 * position / max(1, count - 1))) for position in range(count)]


def plot(axes: Axes, x: ArrayLike, cells: pd.DataFrame, colour: str, number: int = 0, label: str = "") -> None:
    """A line with its intervals: a band, and bars where a point has no neighbour; it breaks where a mean is missing.

    Args:
        axes: The panel.
        x: Ascending, one for each row.
        cells: Columns `mean`, `low` and `high`.
        colour: Of both.
        number: Of the line: its marker.
        label: In the legend.
    """
    x = np.asarray(x, dtype=np.float64)
    mean, low, high = (cells[name].to_numpy(np.float64) for name in ("mean", "low", "high"))
    axes.plot(x, mean, color=colour, marker=MARKERS[number % len(MARKERS)], markersize=5, label=label)
    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    known = np.concatenate([[False], ~np.isnan(low), [False]])
    alone = known[1:-1] & ~known[:-2] & ~known[2:]
    axes.errorbar(x[alone], mean[alone], (high - mean)[alone], color=colour, capsize=3, linestyle="none")


def mark(axes: Axes, values: Sequence[float]) -> None:
    """Mark the horizontal axis at those of some ascending values whose labels do not touch.

    Where they span much, equal ratios get equal lengths.
    """
    doubling = len(values) > 1 and 0 < values[0] * _DOUBLING <= values[-1]
    places = [math.log(value) if doubling else value for value in values]
    chosen = list(values[:1])
    last = places[0] if places else 0.0
    for value, place in zip(values, places, strict=True):
        if place - last >= _CLOSEST * (places[-1] - places[0]) > 0:
            chosen, last = [*chosen, value], place
    if doubling:
        axes.set_xscale("log", base=2)
    axes.set_xticks(chosen, [f"{value:,g}" for value in chosen])
    axes.xaxis.set_minor_locator(NullLocator())


def explain(figure: Figure, styles: Mapping[str, tuple[str, Dashes]]) -> None:
    """One legend of line styles below everything.

    Args:
        figure: To be explained.
        styles: Name: colour and dashes of a line.
    """
    lines = [Line2D([], [], color=colour, linestyle=dashes, label=name) for name, (colour, dashes) in styles.items()]
    figure.legend(handles=lines, loc="outside lower center", ncols=max(1, len(lines)), fontsize=8, frameon=False)


def legend(figure: Figure, axes: Axes) -> None:
    """What was labelled in a panel, below it; a dollar sign is a dollar sign."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        below = figure.legend(
            handles, labels, loc="outside lower center", ncols=2, fontsize=8, frameon=False, labelcolor=INK
        )
        for text in below.get_texts():
            text.set_parse_math(False)


def drawable(text: str, longest: int) -> str:
    """One line of at most `longest` characters, every one of which the font has."""
    line = " ".join(text.split())
    if len(line) > longest:
        line = line[: longest - 1].rstrip() + "…"
    font = get_font(findfont(FontProperties()))
    return "".join(
        character if font.get_char_index(ord(character)) else _MISSING
        for character in line
        if unicodedata.category(character)[0] != "C"  # control, joiners, surrogates
    )
