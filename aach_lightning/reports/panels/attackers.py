"""All attackers of one setting: MAP with its interval, and damage over perceptibility."""

from collections.abc import Iterator

import pandas as pd

from aach_lightning.reports.figure import DASHES, GREY, INK, Axes
from aach_lightning.reports.material import Material
from aach_lightning.reports.panels.panel import (
    COLOURS,
    Panel,
    draw_panels,
    explain_needs,
    name_of,
    set_height,
    spoken,
    style_of,
)
from aach_lightning.reports.table import NAMES

MOST = 40
_CROWD = 4  # so many points lie together before their names are left to the table


def attacker_panels(material: Material) -> Iterator[Panel]:
    """MAP of each attacker of the leading setting, the `MOST` strongest; lines mark clean queries and chance."""

    def draw(axes: Axes, direction: str) -> str | None:
        own = material.leading[material.leading["direction"] == direction]
        strongest = own[own["query"] == "attack"].sort_values("mean", ascending=False)[-MOST:]
        rows = pd.concat([own[own["query"].isin(["noise", "edits", "white_box"])], strongest])
        rows = rows.sort_values("mean", ascending=False, kind="stable")
        if rows.empty:
            return None
        set_height(axes, 1.3 + 0.21 * len(rows))
        names = [name_of(row) for row in rows.itertuples()]
        for place, (needs, mean, half) in enumerate(rows[["needs", "mean", "half"]].itertuples(index=False)):
            colour, marker = style_of(needs)
            axes.errorbar([mean], [place], xerr=[half], color=colour, marker=marker, markersize=5, linewidth=1.6)
        axes.set_yticks(range(len(rows)), names, fontsize=8, parse_math=False)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.set_xlabel("MAP")
        axes.grid(visible=False, axis="y")
        for query in ("clean", "chance"):
            for mean in own.loc[own["query"] == query, "mean"][:1]:
                label = NAMES.get(query, query)
                axes.axvline(mean, color=COLOURS[query], linestyle=DASHES[query], linewidth=1.2, label=label)
        explain_needs(axes, rows["needs"])
        return f"MAP by attacker. {spoken(names, rows['mean'])}"

    return draw_panels("attackers", draw)


def damage_panels(material: Material) -> Iterator[Panel]:
    """Drop of MAP over the root mean square of the change, for each attacker of the leading setting."""

    def draw(axes: Axes, direction: str) -> str | None:
        rows = material.leading[material.leading["direction"] == direction]
        rows = rows[~rows["query"].isin(["clean", "chance"])]
        if rows.empty:
            return None
        for needs, rms, drop in rows[["needs", "rms", "drop"]].itertuples(index=False):
            colour, marker = style_of(needs)
            axes.plot([rms], [drop], color=colour, marker=marker, linestyle="none", alpha=0.8)
        for row in _apart(rows).itertuples():
            axes.annotate(
                name_of(row),
                (row.rms, row.drop),
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
        return f"Drop of MAP over the RMS of the change. Drops: {spoken(map(name_of, rows.itertuples()), rows['drop'])}"

    return draw_panels("damage", draw)


def _apart(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose names lie neither on each other nor in a crowd: greedily, from the largest drop on."""
    places = rows[["rms", "drop"]] / (rows[["rms", "drop"]].max() - rows[["rms", "drop"]].min()).clip(lower=1e-9)
    kept: list[object] = []
    for number, (x, y) in places.sort_values("drop", ascending=False, kind="stable").iterrows():
        near = (places - [x, y]).abs()
        crowd = ((near["rms"] < 0.12) & (near["drop"] < 0.1)).sum()
        taken = near.loc[kept]
        if crowd <= _CROWD and not ((taken["rms"] < 0.6) & (taken["drop"] < 0.08)).any():
            kept.append(number)
    return rows.loc[kept]
