"""All attackers of one setting: MAP with its interval, and damage over perceptibility."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from aach_lightning.reports.figure import INK, legend
from aach_lightning.reports.panels.panel import (
    GREY,
    LEVELS,
    Panel,
    directions_of,
    explain_needs,
    level,
    name_of,
    new_direction,
    spoken,
    style_of,
)
from aach_lightning.reports.table import DIRECTIONS

MOST = 40
_CROWD = 4  # so many points lie together before their names are left to the table


def attacker_panels(cells: pd.DataFrame) -> Iterator[Panel]:
    """MAP of each attacker of one setting, one panel a direction; lines mark clean queries and chance.

    Args:
        cells: Of `headline.cells_of`, one setting. Of the attacks the `MOST` with the lowest MAP are shown.
    """
    for direction in directions_of(cells):
        own = cells[cells["direction"] == direction]
        strongest = own[own["query"] == "attack"].sort_values("mean", ascending=False)[-MOST:]
        rows = pd.concat([own[own["query"].isin(["noise", "edits", "white_box"])], strongest])
        rows = rows.sort_values("mean", ascending=False, kind="stable")
        if rows.empty:
            continue
        figure, axes = new_direction(direction, 1.3 + 0.21 * len(rows))
        places = np.arange(len(rows), dtype=np.float64)
        names = [name_of(row) for row in rows.itertuples()]
        for place, needs, mean, low, high in zip(
            places, rows["needs"], rows["mean"], rows["low"], rows["high"], strict=True
        ):
            colour, marker = style_of(needs)
            axes.plot([low, high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
            axes.plot([mean], [place], color=colour, marker=marker, markersize=5)
        axes.set_yticks(places, names, fontsize=8, parse_math=False)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.set_xlabel("MAP")
        axes.grid(visible=False, axis="y")
        for query in ("clean", "chance"):
            for mean in own.loc[own["query"] == query, "mean"][:1]:
                colour, dashes = LEVELS[query]
                axes.axvline(mean, color=colour, linestyle=dashes, linewidth=1.2, label=level(query))
        explain_needs(axes, rows["needs"])
        legend(figure, axes, 2)
        yield Panel(
            f"attackers_{direction}",
            f"MAP, {DIRECTIONS[direction]}, by attacker. {spoken(list(zip(names, rows['mean'], strict=True)))}.",
            figure,
        )


def damage_panels(cells: pd.DataFrame) -> Iterator[Panel]:
    """Drop of MAP over the root mean square of the change, for each attacker of one setting."""
    for direction in directions_of(cells):
        rows = cells[(cells["direction"] == direction) & ~cells["query"].isin(["clean", "chance"])]
        if rows.empty:
            continue
        figure, axes = new_direction(direction)
        for needs, rms, drop in zip(rows["needs"], rows["rms"], rows["drop"], strict=True):
            colour, marker = style_of(needs)
            axes.plot([rms], [drop], color=colour, marker=marker, linestyle="none", alpha=0.8)
        chosen = _apart(rows)
        for name, rms, drop in zip(map(name_of, chosen.itertuples()), chosen["rms"], chosen["drop"], strict=True):
            axes.annotate(
                name,
                (rms, drop),
                (0, 5),
                textcoords="offset points",
                fontsize=7,
                ha="center",
                color=INK,
                parse_math=False,
            )
        axes.axhline(0.0, color=GREY, linewidth=0.8)
        axes.margins(x=0.25, y=0.12)
        axes.set_xlabel("RMS of the change, in units of the input")
        axes.set_ylabel("drop of MAP")
        explain_needs(axes, rows["needs"])
        legend(figure, axes, 2)
        values = list(zip(map(name_of, rows.itertuples()), rows["drop"], strict=True))
        yield Panel(
            f"damage_{direction}",
            f"Drop of MAP over the RMS of the change, {DIRECTIONS[direction]}. Drops: {spoken(values)}.",
            figure,
        )


def _apart(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose names lie neither on each other nor in a crowd: greedily, from the largest drop on."""
    width = max(float(rows["rms"].max() - rows["rms"].min()), 1e-9)
    height = max(float(rows["drop"].max() - rows["drop"].min()), 1e-9)
    places = [(float(rms) / width, float(drop) / height) for rms, drop in zip(rows["rms"], rows["drop"], strict=True)]
    kept: list[tuple[float, float]] = []
    chosen: list[object] = []
    for number in sorted(range(len(rows)), key=lambda it: -places[it][1]):
        x, y = places[number]
        crowd = sum(abs(x - a) < 0.12 and abs(y - b) < 0.1 for a, b in places)
        if crowd <= _CROWD and not any(abs(x - a) < 0.6 and abs(y - b) < 0.08 for a, b in kept):
            kept.append((x, y))
            chosen.append(rows.index[number])
    return rows.loc[chosen]
