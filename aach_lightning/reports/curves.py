"""MAP over budget and over epsilon as curves with interval bands."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from aach_lightning.reports.figure import (
    Axes,
    Dashes,
    drawable,
    explain,
    new_figure,
    ordered_colours,
    save_figure,
    set_ticks,
)
from aach_lightning.reports.table import DIRECTIONS, NAMES

MOST_BLOCKS = 8
_OTHER = {"budget_pairs": "epsilon", "epsilon": "budget_pairs"}
_MARKERS = "osD^vPX*"
_GREY = "#555555"
_DASHES: dict[str, Dashes] = {"attack": "-", "white_box": (0, (5, 2)), "noise": (0, (1, 1.5))}
_LEVELS: dict[str, tuple[str, Dashes]] = {"clean": ("#000000", "-"), "chance": ("#777777", (0, (8, 2, 1, 2)))}
_LONGEST_TITLE = 110
_CLOSEST = 0.08  # of two tick labels, as a share of the axis
_DOUBLING = 4  # ratio of last to first value from which an axis has a logarithmic scale


def save_curves(summary: pd.DataFrame, title: str, paths: Sequence[Path]) -> None:
    """Draw, for each block, MAP over M and MAP over epsilon, directions side by side.

    Args:
        summary: Of `reports.summary.summarise`; only the first `MOST_BLOCKS` blocks are drawn.
        title: Above everything.
        paths: Files, .png or .svg.

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
            of_direction = shown[shown["direction"] == direction]
            for axes, along in zip(grid[:, column], rows, strict=True):
                if len(rows) > 1 and of_direction[along].nunique() == 1:
                    _say_constant(axes, along, of_direction[along].dropna().iloc[0], direction)
                    continue
                _draw(axes, of_direction[of_direction["block"] == block], along, direction)
                axes.set_ylim(*_limits(of_direction))
    kinds = set(shown["query"])
    styles = {query: (_GREY, dashes) for query, dashes in _DASHES.items()} | _LEVELS
    names = NAMES | {"attack": "attack, with 95 % interval"}
    explain(figure, {names.get(query, query): style for query, style in styles.items() if query in kinds})
    for path in paths:
        save_figure(figure, path)


def _draw(axes: Axes, cells: pd.DataFrame, along: str, direction: str) -> None:
    """One panel: a line for each value of the other axis, and what to compare it with."""
    by, unit = _OTHER[along], "/255" if direction.startswith("I") else ""
    axes.set_title(DIRECTIONS.get(direction, direction), fontsize=10)
    axes.set_xlabel({"budget_pairs": "query budget M, pairs", "epsilon": "ε, 1/255" if unit else "ε"}[along])
    axes.set_ylabel("MAP")
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    pooled = cells[cells["budget_pairs"].isna()]
    for query, (colour, dashes) in _LEVELS.items():
        level = pooled.loc[pooled["query"] == query, ["mean", "low", "high"]].mean()
        axes.axhline(level["mean"], color=colour, linestyle=dashes, linewidth=1.2, zorder=1)
        axes.axhspan(level["low"], level["high"], color=colour, alpha=0.12, linewidth=0, zorder=1)
    attack = cells[cells["query"] == "attack"]
    values, lines = (sorted(float(value) for value in attack[name].unique()) for name in (along, by))
    for number, (value, colour) in enumerate(zip(lines, ordered_colours(len(lines)), strict=True)):
        line = attack[attack[by] == value].sort_values(along)
        label = f"{value:g}{unit}" if by == "epsilon" else f"{value:,.0f}"
        marker = _MARKERS[number % len(_MARKERS)]
        axes.plot(line[along].to_numpy(np.float64), line["mean"], color=colour, marker=marker, label=label)
        _draw_interval(axes, line[along].to_numpy(np.float64), line, colour)
        _draw_reference(axes, "white_box", cells[(cells[by] == value) & cells[along].notna()], along, colour)
        if by == "epsilon":
            _draw_reference(axes, "noise", cells[(cells[by] == value) & cells[along].notna()], along, colour)
    if by == "budget_pairs":  # which does not change noise
        _draw_reference(axes, "noise", pooled, along, _GREY)
    doubling = len(values) > 1 and 0 < values[0] * _DOUBLING <= values[-1]
    ticks = _spread(values, doubling=doubling)
    set_ticks(axes, ticks, [f"{tick:,g}" for tick in ticks], doubling=doubling)
    if lines:
        axes.legend(
            title="ε" if by == "epsilon" else "M",
            fontsize=8,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
        )


def _say_constant(axes: Axes, along: str, value: float, direction: str) -> None:
    """Every point of this panel is in the other one."""
    axes.set_axis_off()
    unit = "/255" if direction.startswith("I") else ""
    text = f"ε = {value:g}{unit}" if along == "epsilon" else f"M = {value:,.0f}"
    text = f"{DIRECTIONS.get(direction, direction)}: {text} throughout"
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color=_GREY)


def _draw_reference(axes: Axes, query: str, cells: pd.DataFrame, along: str, colour: str) -> None:
    line = cells[cells["query"] == query].sort_values(along)
    x = line[along].to_numpy(np.float64)
    axes.plot(
        x, line["mean"], color=colour, linestyle=_DASHES[query], linewidth=1.3, marker="_" if len(x) == 1 else None
    )


def _draw_interval(axes: Axes, x: "np.typing.NDArray[np.float64]", line: pd.DataFrame, colour: str) -> None:
    mean, low, high = (line[name].to_numpy(np.float64) for name in ("mean", "low", "high"))
    axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    known = np.concatenate([[False], ~np.isnan(low), [False]])
    alone = known[1:-1] & ~known[:-2] & ~known[2:]
    axes.errorbar(x[alone], mean[alone], (high - mean)[alone], color=colour, capsize=3, linestyle="none")


def _limits(cells: pd.DataFrame) -> tuple[float, float]:
    """Vertical limits that hold every mean and every band, within the range of a MAP."""
    low, high = float(np.nanmin(cells[["mean", "low"]])), float(np.nanmax(cells[["mean", "high"]]))
    margin = 0.05 * max(high - low, 0.02)
    return max(0.0, low - margin), min(1.0, high + margin)


def _spread(values: Sequence[float], *, doubling: bool) -> list[float]:
    """The values whose labels do not touch each other."""
    places = [math.log(value) if doubling else value for value in values]
    chosen = values[:1]
    last = places[0] if places else 0.0
    for value, place in zip(values, places, strict=True):
        if place - last >= _CLOSEST * (places[-1] - places[0]) > 0:
            chosen, last = [*chosen, value], place
    return list(chosen)
