"""MAP over the query budget and over epsilon."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from aach_lightning.reports.figure import DASHES, PALETTE, Axes, drawable, mark, plot
from aach_lightning.reports.material import Material
from aach_lightning.reports.panels.panel import COLOURS, HEIGHT, Panel, draw_panels, set_height, spoken
from aach_lightning.reports.table import NAMES

_LONGEST = 26  # two columns of these fit below a panel


def budget_panels(material: Material) -> Iterator[Panel]:
    """MAP over the query budget M, for each direction with two values of it."""
    return _panels(material, "budget")


def epsilon_panels(material: Material) -> Iterator[Panel]:
    """MAP over the bound of the change, for each direction with two values of it."""
    return _panels(material, "epsilon")


def _panels(material: Material, along: str) -> Iterator[Panel]:
    """Lines of the leading system.

    Where several attackers paid pairs, each is a line, at the leading epsilon or the largest M; a single attacker has
    a line for each value of the other axis. What is known at a single value is left to the tables.
    """
    place, epsilon, text_epsilon = material.setting
    cells = material.cells[material.cells["place"] == place]

    def draw(axes: Axes, direction: str) -> str | None:
        bound, chosen = ("epsilon", epsilon) if direction == "I2T" else ("text_epsilon", text_epsilon)
        axis, other = ("paid", bound) if along == "budget" else (bound, "paid")
        own = cells[cells["direction"] == direction]
        lines = own[(own["query"] == "attack") & (own["paid"] > 0)]
        single = lines["label"].nunique() == 1
        if lines[axis].nunique() < 2:
            return None
        if not single:
            fixed = chosen if along == "budget" else lines["paid"].max()
            lines = lines[lines[other] == fixed]
            axes.set_title(f"{axes.get_title()}, {_value(other, fixed)}", fontsize=10)
        known = lines.groupby("label")[axis].nunique()
        lines = lines[lines["label"].isin(known.index[known > 1])]
        if lines.empty:
            return None
        by = other if single else "label"
        names = sorted(lines[by].unique())[-len(PALETTE) :] if single else _strongest(lines)
        set_height(axes, HEIGHT + 0.09 * len(names))
        around = own[own[bound] == chosen] if along == "budget" else own[own[bound].isin(lines[bound].unique())]
        for query in COLOURS:
            _reference(axes, around[around["query"] == query], query, axis)
        for number, (name, colour) in enumerate(zip(names, PALETTE, strict=False)):
            line = lines[lines[by] == name].groupby(axis)[["mean", "low", "high"]].mean()  # over the other epsilon
            label = _value(other, float(name)) if single else drawable(str(name), _LONGEST)
            plot(axes, line.index, line, colour, number, label)
        mark(axes, sorted(lines[axis].unique().tolist()))
        axes.set_xlabel({"paid": "query budget M, pairs", "epsilon": "ε, 1/255", "text_epsilon": "ε"}[axis])
        axes.set_ylabel("MAP")
        values = lines[["label", "paid", bound]].itertuples(index=False)
        said = [f"{label}, {_value('paid', paid)}, {_value(bound, size)}" for label, paid, size in values]
        return f"MAP over {'the query budget M' if along == 'budget' else 'epsilon'}. {spoken(said, lines['mean'])}"

    return draw_panels(along, draw)


def _strongest(lines: pd.DataFrame) -> list[str]:
    """The attackers with the lowest MAP, as many as there are colours, in the order of their names."""
    best = lines.groupby("label")["mean"].min().sort_values(kind="stable")
    return sorted(str(label) for label in best.index[: len(PALETTE)])


def _reference(axes: Axes, cells: pd.DataFrame, query: str, axis: str) -> None:
    style: dict[str, Any] = {"color": COLOURS[query], "linestyle": DASHES[query], "linewidth": 1.2}
    style["label"] = NAMES.get(query, query)
    if cells.empty:
        return
    if axis == "paid" or query in ("clean", "chance"):
        axes.axhline(float(cells["mean"].mean()), **style)
    else:
        line = cells.groupby(axis)["mean"].mean()
        axes.plot(line.index, line, **style)


def _value(axis: str, value: float) -> str:
    if axis == "paid":
        return f"M = {value:,.0f}"
    return f"ε = {value:g}/255" if axis == "epsilon" else f"ε = {value:g}"
