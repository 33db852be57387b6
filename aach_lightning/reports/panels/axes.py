"""MAP over the query budget and over epsilon."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from aach_lightning.reports.figure import PALETTE, Axes, drawable, legend, set_ticks
from aach_lightning.reports.panels.panel import (
    HEIGHT,
    LEVELS,
    MARKERS,
    Panel,
    directions_of,
    level,
    new_direction,
    spoken,
)
from aach_lightning.reports.table import DIRECTIONS

_DOUBLING = 4  # ratio of last to first value from which an axis has a logarithmic scale
_LONGEST = 26  # two columns of these fit below a panel


def axis_panels(cells: pd.DataFrame, along: str, leading: tuple[str, float, float]) -> Iterator[Panel]:
    """MAP of one system over the budget M or over epsilon, one panel for each direction that knows two values of it.

    Args:
        cells: Of `headline.cells_of`, one place with all its epsilons.
        along: "budget" or "epsilon".
        leading: Of `headline.leading_setting`.

    Where several attackers paid pairs, each is a line, at the leading epsilon or the largest M; a single attacker has
    a line for each value of the other axis. What is known at a single value is left to the tables.
    """
    for direction in directions_of(cells):
        bound = "epsilon" if direction == "I2T" else "text_epsilon"
        axis, other = ("paid", bound) if along == "budget" else (bound, "paid")
        own = cells[cells["direction"] == direction]
        attacks = own[(own["query"] == "attack") & (own["paid"] > 0)]
        if attacks[axis].nunique() < 2:
            continue
        single = attacks["label"].nunique() == 1
        chosen = leading[1] if direction == "I2T" else leading[2]
        fixed = chosen if along == "budget" else attacks["paid"].max()
        lines = attacks if single else attacks[attacks[other] == fixed]
        known = lines.groupby("label")[axis].nunique()
        lines = lines[lines["label"].isin(known.index[known > 1])]
        if lines.empty:
            continue
        names = _strongest(lines) if not single else sorted(lines[other].unique())[-len(PALETTE) :]
        at = "" if single else f", {_value(other, float(fixed))}"
        figure, axes = new_direction(direction, HEIGHT + 0.09 * len(names), at)
        around = own[own[bound] == chosen] if along == "budget" else own[own[bound].isin(lines[bound].unique())]
        for query in LEVELS:
            _reference(axes, around[around["query"] == query], query, axis if along == "epsilon" else None)
        for number, (name, colour) in enumerate(zip(names, PALETTE, strict=False)):
            line = lines[lines[other if single else "label"] == name]
            label = _value(other, float(name)) if single else drawable(str(name), _LONGEST)
            _line(axes, line, axis, colour, MARKERS[number % len(MARKERS)], label)
        _ticks(axes, sorted(float(value) for value in lines[axis].unique()))
        axes.set_xlabel({"paid": "query budget M, pairs", "epsilon": "ε, 1/255", "text_epsilon": "ε"}[axis])
        axes.set_ylabel("MAP")
        legend(figure, axes, 2)
        said = [
            (f"{label}, {_value('paid', paid)}, {_value(bound, eps)}", mean)
            for label, paid, eps, mean in lines[["label", "paid", bound, "mean"]].itertuples(index=False)
        ]
        title = "the query budget M" if along == "budget" else "epsilon"
        yield Panel(f"{along}_{direction}", f"MAP over {title}, {DIRECTIONS[direction]}. {spoken(said)}.", figure)


def _strongest(lines: pd.DataFrame) -> list[str]:
    """The attackers with the lowest MAP, as many as there are colours, in the order of their names."""
    best = lines.groupby("label")["mean"].min().sort_values(kind="stable")
    return sorted(str(label) for label in best.index[: len(PALETTE)])


def _line(axes: Axes, cells: pd.DataFrame, axis: str, colour: str, marker: str, label: str) -> None:
    line = cells.groupby(axis)[["mean", "low", "high"]].mean()  # over the other modality's epsilon
    x = line.index.to_numpy(np.float64)
    axes.plot(x, line["mean"], color=colour, marker=marker, markersize=5, label=label)
    low, high = line["low"].to_numpy(np.float64), line["high"].to_numpy(np.float64)
    axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)


def _reference(axes: Axes, cells: pd.DataFrame, query: str, axis: str | None) -> None:
    if cells.empty:
        return
    colour, dashes = LEVELS[query]
    if axis is None or query in ("clean", "chance"):
        axes.axhline(float(cells["mean"].mean()), color=colour, linestyle=dashes, linewidth=1.2, label=level(query))
        return
    line = cells.groupby(axis)["mean"].mean()
    axes.plot(line.index.to_numpy(np.float64), line, color=colour, linestyle=dashes, linewidth=1.2, label=level(query))


def _ticks(axes: Axes, values: list[float]) -> None:
    doubling = len(values) > 1 and 0 < values[0] * _DOUBLING <= values[-1]
    set_ticks(axes, values, [f"{value:,g}" for value in values], doubling=doubling)


def _value(axis: str, value: float) -> str:
    if axis == "paid":
        return f"M = {value:,.0f}"
    return f"ε = {value:g}/255" if axis == "epsilon" else f"ε = {value:g}"
