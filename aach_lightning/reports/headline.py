"""The tables that everything else explains: MAP of every kind of query, with intervals over replicates."""

from collections.abc import Iterable
from typing import Any, get_args

import numpy as np
import pandas as pd

from aach_lightning.evaluation.result import Needs
from aach_lightning.reports.measurements import BOUND, REFERENCES, SETTING
from aach_lightning.reports.page import Tile
from aach_lightning.reports.sheet import Cell, Column, Sheet, interval, make_sheet
from aach_lightning.reports.table import DIRECTIONS

Setting = tuple[str, float, float]
MISSING = Cell("missing")
_LINE = ["query", "label", "paid"]
_ORDER = {"clean": 0, "noise": 1, "edits": 1, "attack": 2, "white_box": 3, "chance": 4}
_STEADY = 1e-9
_NOTE = (
    "Drop: MAP of the clean queries minus MAP. Of bound: drop as a share of the white-box drop. Rows that paid no "
    "pairs are averaged over the budgets M first. A run without a card is named by what sets it apart from the others."
)
_PERCEPTIBILITY = {
    "drop": Column("drop", "+.3f"),
    "distance": Column("bits moved", ".1f"),
    "rms": Column("RMS", ".4f"),
    "psnr": Column("PSNR, dB", ".1f"),
    "ssim": Column("SSIM", ".3f"),
}


def settings_of(cells: pd.DataFrame) -> list[Setting]:
    """Settings in the order in which a reader wants them: by place, then epsilon."""
    found = cells[SETTING].drop_duplicates().sort_values(SETTING)
    return [(str(place), float(eps), float(text)) for place, eps, text in found.itertuples(index=False)]


def title_of(setting: Setting) -> str:
    """A setting in words."""
    place, epsilon, text_epsilon = setting
    return f"{place}, ε {epsilon:g}/255 on images, {text_epsilon:g} on texts"


def in_setting(cells: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """The rows of one setting."""
    return cells[(cells[SETTING] == list(setting)).all(axis=1)]


def leading_setting(cells: pd.DataFrame) -> Setting:
    """The setting with most attackers, then most replicates, then the largest epsilon: figures and examples show it."""
    attacks = cells[cells["query"] == "attack"] if (cells["query"] == "attack").any() else cells
    ranked = attacks.groupby(SETTING).agg(size=("label", "nunique"), n=("n", "max")).reset_index()
    best = ranked.sort_values(["size", "n", "epsilon", "text_epsilon", "place"]).iloc[-1]
    return str(best["place"]), float(best["epsilon"]), float(best["text_epsilon"])


def by_need(needs: Iterable[str]) -> list[int]:
    """Rank of what attackers need, from the least to the most; labels count after equal needs without."""
    order = [text for need in get_args(Needs) for text in (need, f"{need}, labels")]
    return [order.index(text) if text in order else len(order) for text in needs]


def ordered_rows(cells: pd.DataFrame) -> pd.MultiIndex:
    """Query, label and paid pairs of each row of one setting: references first, then by what is needed, then by MAP."""
    rows = cells.assign(
        rank=cells["query"].map(_ORDER),
        need=by_need(cells["needs"]),
        best=cells.groupby(["query", "label"])["mean"].transform("min"),
    )
    rows = rows.sort_values(["rank", "need", "best", "label", "paid"], kind="stable")
    return pd.MultiIndex.from_frame(rows[_LINE].drop_duplicates())


def headline_sheet(title: str, cells: pd.DataFrame) -> Sheet:
    """MAP, drop and share of the white-box drop of one setting, directions side by side."""
    rows = ordered_rows(cells)
    groups = cells.groupby(_LINE)
    needs, items = groups["needs"].first().reindex(rows), groups["items"].max().reindex(rows)
    seeds = groups["n"].unique().reindex(rows)
    queries = rows.get_level_values("query")
    attacked = queries == "attack"
    columns = _names(rows)
    for direction, own in _by_direction(cells, rows):
        columns[Column("MAP", ".3f", direction)] = [_map(row) for row in own.itertuples()]
        changed = ~queries.isin(["clean", "chance"])
        columns[Column("drop", "+.3f", direction)] = own["drop"].where(changed)
        columns[Column("of bound", ".0%", direction)] = own["share"].where(changed)
    columns[Column("needs")] = needs.mask(queries == "clean", "")
    columns[Column("codes an item", ",.4g")] = items.where(attacked)
    columns[Column("seeds", "d")] = [Cell(", ".join(map(str, sorted(n))), float(max(n))) for n in seeds]
    seeded = cells["n"].max() > 1
    said = "mean ± half of the 95 % interval (Student) over seeds" if seeded else "one seed, no interval"
    return make_sheet(title, f"MAP: {said}. {_NOTE}", columns)


def perceptibility_sheet(title: str, cells: pd.DataFrame) -> Sheet:
    """How visible the changes of one setting are, and what they do."""
    cells = cells[~cells["query"].isin(["clean", "chance"])]
    rows = ordered_rows(cells)
    columns = _names(rows)
    for direction, own in _by_direction(cells, rows):
        for name, column in _PERCEPTIBILITY.items():
            if direction == DIRECTIONS["I2T"] or name not in ("psnr", "ssim"):
                columns[column._replace(group=direction)] = own[name]
    note = (
        "Means over attacked items of what the target was really shown: images after rounding to 8 bits. RMS: root "
        "mean square of the change, in units of the input. Bits moved: Hamming distance to the clean query's code."
    )
    return make_sheet(title, note, columns)


def _names(rows: pd.MultiIndex) -> dict[Column, Iterable[object]]:
    paid = [paid if query == "attack" else None for query, _, paid in rows]
    return {Column("query"): rows.get_level_values("label"), Column("pairs M", ",d"): paid}


def _by_direction(cells: pd.DataFrame, rows: pd.MultiIndex) -> Iterable[tuple[str, pd.DataFrame]]:
    """Name of each direction that occurs, and its cells in the order of the rows, empty where nothing was measured."""
    for direction, title in DIRECTIONS.items():
        own = cells[cells["direction"] == direction]
        if not own.empty:
            yield title, own.set_index(_LINE).reindex(rows)


def _map(row: Any) -> Cell:
    steady = row.Index[0] in ("clean", "chance") and row.half < _STEADY  # no question of the attacker's seed
    return MISSING if np.isnan(row.mean) else interval(row.mean, np.nan if steady else row.half)


def leading_attack(cells: pd.DataFrame) -> tuple[str, int] | None:
    """Label and paid pairs of the attack of one setting that a summary names.

    AACH with the largest M, the shortest label first; else the attack without weights that leaves the lowest MAP; None
    where nothing was attacked.
    """
    attacks = cells[cells["query"] == "attack"]
    if attacks.empty:
        return None
    own = attacks[attacks["label"].str.upper().str.startswith("AACH")]
    own = own.assign(length=own["label"].str.len()).sort_values(["length", "paid"], ascending=[True, False])
    blind = attacks[~attacks["needs"].str.startswith("weights")]
    ranked = (attacks if blind.empty else blind).sort_values("mean", kind="stable")
    best = (ranked if own.empty else own).iloc[0]
    return str(best["label"]), int(best["paid"])


def tiles(cells: pd.DataFrame) -> tuple[Tile, ...]:
    """The first screen of a page: one tile a direction, of one setting; none where nothing was attacked."""
    attack = leading_attack(cells)
    if attack is None:
        return ()
    label, pairs = attack
    shown = []
    for direction, title in DIRECTIONS.items():
        own = cells[cells["direction"] == direction].set_index("query")
        attacks = own.loc[own.index == "attack"]
        found = attacks[(attacks["label"] == label) & (attacks["paid"] == pairs)]
        if found.empty:
            continue
        best = found.iloc[0]
        figure, meaning = f"{best['drop']:+.3f}", "drop of MAP; no white-box bound was measured"
        if not pd.isna(best["share"]):
            paid = f", for {pairs:,} queried pairs" if pairs else ""
            figure, meaning = f"{best['share']:.0%}", f"of the white-box drop{paid}"
        names = {name: REFERENCES[name] for name in ("clean", "noise")}
        names |= {"attack": f"{label}, {pairs:,} pairs" if pairs else label, "white_box": BOUND, "chance": "chance"}
        found = pd.concat([found, own.drop(index="attack")])
        lines = [
            (name, _value(found.loc[[query]].iloc[0]) if query in found.index else MISSING.text)
            for query, name in names.items()
        ]
        shown.append(Tile(title, figure, meaning, tuple(lines)))
    return tuple(shown)


def _value(row: "pd.Series[float]") -> str:
    return interval(row["mean"], row["half"] if row["half"] >= 0.0005 else np.nan).text
