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
    "VERMILION",
    "Axes",
    "Dashes",
    "drawable",
    "explain",
    "new_figure",
    "ordered_colours",
    "save_figure",
    "set_ticks",
]

BLUE, VERMILION = "#0072b2", "#d55e00"  # of Okabe and Ito: told apart by colour-blind readers too
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
