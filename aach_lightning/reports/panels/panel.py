"""What the panels of a page share: one picture for each direction, with a text for whoever does not see it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from aach_lightning.reports.figure import BLUE, GREY, INK, PALETTE, VERMILION, Axes, Figure, drawable, legend, new_panel
from aach_lightning.reports.table import DIRECTIONS

WIDTH, HEIGHT = 4.8, 3.6  # inches: readable on a phone
NEEDS = {  # of the target: colour and marker
    "nothing": (GREY, "o"),
    "top k": (PALETTE[2], "v"),
    "ranks": (PALETTE[3], "^"),
    "codes": (BLUE, "s"),
    "weights": (VERMILION, "D"),
}
COLOURS = {"clean": INK, "chance": GREY, "noise": GREY, "white_box": INK}  # of references
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


def draw_panels(name: str, draw: Callable[[Axes, str], str | None]) -> Iterator[Panel]:
    """A panel for each direction that has something to show.

    Args:
        name: Of the files; the direction follows.
        draw: Draws a direction, "I2T" or "T2I", and says what is seen; None where there is nothing.
    """
    for direction, title in DIRECTIONS.items():
        figure, axes = new_panel(WIDTH, HEIGHT)
        axes.set_title(title, fontsize=10)
        alt = draw(axes, direction)
        if alt is not None:
            legend(figure, axes)
            yield Panel(f"{name}_{direction}", f"{title}. {alt}.", figure)


def set_height(axes: Axes, inches: float) -> None:
    """Make room for more lines than a panel has by itself."""
    axes.get_figure(root=True).set_size_inches(WIDTH, inches)  # type: ignore[union-attr]


def style_of(needs: Any) -> tuple[str, str]:
    """Colour and marker by what an attacker needs."""
    return NEEDS.get(str(needs).split(",")[0], (GREY, "o"))


def explain_needs(axes: Axes, needs: Iterable[str]) -> None:
    """Legend entries of the colours that occur."""
    needs = set(needs)
    for need, (colour, marker) in NEEDS.items():
        if any(text.startswith(need) for text in needs):
            axes.plot([], [], color=colour, marker=marker, linestyle="none", label=f"needs {need}")


def name_of(row: Any) -> str:
    """An attacker in a few words: its label, and M where it paid pairs."""
    label = drawable(str(row.label), _LONGEST)
    return f"{label}, M = {row.paid:,}" if row.paid else label


def spoken(names: Iterable[str], values: Iterable[float]) -> str:
    """Names and numbers for whoever does not see a picture."""
    return "; ".join(f"{name}: {value:.3f}" for name, value in zip(names, values, strict=True))
