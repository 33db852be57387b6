"""What all pictures share: canvas, colours, text that the font can draw, files. The only file with matplotlib."""

import unicodedata
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Literal

from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from aach_lightning.runtime.files import write_atomically

__all__ = [
    "BLUE",
    "GRID",
    "INK",
    "PALETTE",
    "VERMILION",
    "Axes",
    "Dashes",
    "Figure",
    "drawable",
    "explain",
    "legend",
    "new_figure",
    "new_panel",
    "ordered_colours",
    "save_figure",
    "set_ticks",
]

BLUE, VERMILION = "#0072b2", "#d55e00"  # of Okabe and Ito: told apart by colour-blind readers too
INK, GRID = "#1f2328", "#e4e4e4"
# Of Okabe and Ito too, without the yellow that white paper swallows.
PALETTE = (BLUE, VERMILION, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b4f2a")
Dashes = Literal["-"] | tuple[float, tuple[float, ...]]
_MISSING = "□"
_DPI = 110


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
    with rc_context(
        {
            "text.color": INK,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
        }
    ):
        figure = new_figure(width, height)
        axes = figure.subplots()
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


def set_ticks(axes: Axes, values: list[float], labels: list[str], *, doubling: bool) -> None:
    """Mark the horizontal axis at some values.

    Args:
        axes: To be marked.
        values: Ascending.
        labels: As many.
        doubling: Equal ratios get equal lengths.
    """
    if doubling:
        axes.set_xscale("log", base=2)
    axes.set_xticks(values, labels)
    axes.xaxis.set_minor_locator(NullLocator())


def explain(figure: Figure, styles: Mapping[str, tuple[str, Dashes]]) -> None:
    """One legend of line styles below everything.

    Args:
        figure: To be explained.
        styles: Name: colour and dashes of a line.
    """
    lines = [Line2D([], [], color=colour, linestyle=dashes, label=name) for name, (colour, dashes) in styles.items()]
    figure.legend(handles=lines, loc="outside lower center", ncols=max(1, len(lines)), fontsize=8, frameon=False)


def legend(figure: Figure, axes: Axes, columns: int) -> None:
    """What was labelled in a panel, below it; a dollar sign is a dollar sign.

    Args:
        figure: Of the panel.
        axes: The panel.
        columns: Number of columns.
    """
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        below = figure.legend(
            handles, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False, labelcolor=INK
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
