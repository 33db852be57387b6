"""MAP over budget and over epsilon as curves with interval bands."""

import numpy as np
import pandas as pd

from aach_lightning.reports.figure import (
    DASHES,
    GREY,
    GRID,
    Axes,
    Figure,
    drawable,
    explain,
    mark,
    new_figure,
    ordered_colours,
    plot,
)
from aach_lightning.reports.table import DIRECTIONS, NAMES

MOST_BLOCKS = 8
_OTHER = {"budget_pairs": "epsilon", "epsilon": "budget_pairs"}
_COLOURS = {"attack": GREY, "white_box": GREY, "noise": GREY, "clean": "#000000", "chance": GREY}
_LONGEST_TITLE = 110


def draw_curves(summary: pd.DataFrame, title: str) -> Figure:
    """For each block, MAP over M and MAP over epsilon, directions side by side.

    Args:
        summary: Of `reports.summary.summarise`; only the first `MOST_BLOCKS` blocks are drawn.
        title: Above everything.

    Bands are the 95 % intervals of the attack, bars where a point has no neighbour; lines break where a combination is
    missing. All panels of a direction have one vertical scale, so that blocks can be compared.
    """
    blocks = list(dict.fromkeys(summary["block"]))[:MOST_BLOCKS]
    shown = summary[summary["block"].isin(blocks)]
    directions = list(dict.fromkeys(shown["direction"]))
    counts = shown.groupby("direction")[list(_OTHER)].nunique().max()
    rows = [name for name in _OTHER if counts[name] > 1] or ["budget_pairs"]
    figure = new_figure(6.2 * len(directions), (3.1 * len(rows) + 0.3) * len(blocks) + 0.9)
    figure.suptitle(drawable(title, _LONGEST_TITLE), fontsize=12, parse_math=False)
    parts = figure.subfigures(len(blocks), 1, squeeze=False)[:, 0]
    for part, block in zip(parts, blocks, strict=True):
        part.suptitle(drawable(block, _LONGEST_TITLE), fontsize=10, parse_math=False)
        grid = part.subplots(len(rows), len(directions), squeeze=False)
        for column, direction in enumerate(directions):
            cells = shown[shown["direction"] == direction]
            for axes, along in zip(grid[:, column], rows, strict=True):
                if len(rows) > 1 and cells[along].nunique() == 1:  # every point of this panel is in the other one
                    text = (
                        f"{DIRECTIONS[direction]}: {_named(along, cells[along].dropna().iloc[0], direction)} throughout"
                    )
                    axes.set_axis_off()
                    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color=GREY)
                    continue
                _draw(axes, cells[cells["block"] == block], along, direction)
                axes.set_ylim(*_limits(cells))
    names = NAMES | {"attack": "attack, with 95 % interval"}
    kinds = set(shown["query"])
    styles = {names.get(query, query): (_COLOURS[query], DASHES[query]) for query in DASHES if query in kinds}
    explain(figure, styles)
    return figure


def _draw(axes: Axes, cells: pd.DataFrame, along: str, direction: str) -> None:
    """One panel: a line for each value of the other axis, and what to compare it with."""
    by = _OTHER[along]
    axes.set_title(DIRECTIONS[direction], fontsize=10)
    epsilon = "ε, 1/255" if direction == "I2T" else "ε"
    axes.set_xlabel("query budget M, pairs" if along == "budget_pairs" else epsilon)
    axes.set_ylabel("MAP")
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    pooled = cells[cells["budget_pairs"].isna()]
    for query in ("clean", "chance"):
        level = pooled.loc[pooled["query"] == query, ["mean", "low", "high"]].mean()
        axes.axhline(level["mean"], color=_COLOURS[query], linestyle=DASHES[query], linewidth=1.2, zorder=1)
        axes.axhspan(level["low"], level["high"], color=_COLOURS[query], alpha=0.12, linewidth=0, zorder=1)
    attack = cells[cells["query"] == "attack"]
    values, lines = (sorted(float(value) for value in attack[name].unique()) for name in (along, by))
    for number, (value, colour) in enumerate(zip(lines, ordered_colours(len(lines)), strict=True)):
        line = attack[attack[by] == value].sort_values(along)
        plot(axes, line[along], line, colour, number, _named(by, value, direction).partition(" = ")[2])
        around = cells[(cells[by] == value) & cells[along].notna()]
        for query in ("white_box", *(("noise",) if by == "epsilon" else ())):
            _reference(axes, query, around, along, colour)
    if by == "budget_pairs":  # which does not change noise
        _reference(axes, "noise", pooled, along, GREY)
    mark(axes, values)
    if lines:
        title = "ε" if by == "epsilon" else "M"
        axes.legend(title=title, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _named(axis: str, value: float, direction: str) -> str:
    unit = "/255" if direction == "I2T" else ""
    return f"ε = {value:g}{unit}" if axis == "epsilon" else f"M = {value:,.0f}"


def _reference(axes: Axes, query: str, cells: pd.DataFrame, along: str, colour: str) -> None:
    line = cells[cells["query"] == query].sort_values(along)
    x, marker = line[along].to_numpy(np.float64), "_" if len(line) == 1 else None
    axes.plot(x, line["mean"], color=colour, linestyle=DASHES[query], linewidth=1.3, marker=marker)


def _limits(cells: pd.DataFrame) -> tuple[float, float]:
    """Vertical limits that hold every mean and every band, within the range of a MAP."""
    low, high = float(np.nanmin(cells[["mean", "low"]])), float(np.nanmax(cells[["mean", "high"]]))
    margin = 0.05 * max(high - low, 0.02)
    return max(0.0, low - margin), min(1.0, high + margin)
