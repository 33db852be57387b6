"""The tables that everything else explains: MAP of every kind of query, with intervals over replicates."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from aach_lightning.reports.sheet import Cell, Column, Sheet, number, words
from aach_lightning.reports.summary import half_width
from aach_lightning.reports.table import DIRECTIONS

SETTING = ["place", "epsilon", "text_epsilon"]
_KEY = [*SETTING, "direction", "query", "label", "paid"]
_MEANS = ("drop", "bound", "distance", "rms", "psnr", "ssim", "seconds", "items")
_ORDER = {"clean": 0, "noise": 1, "edits": 1, "attack": 2, "white_box": 3, "chance": 4}
_NEEDS = {"nothing": 0, "nothing, labels": 1, "codes": 2, "codes, labels": 3}
_STEADY = 1e-9
MISSING = "missing"


def cells_of(table: pd.DataFrame) -> pd.DataFrame:
    """Means over replicates.

    Args:
        table: Of `measurements`.

    Returns:
        A row for each setting (`SETTING`), direction, query, label and pairs `paid` (attacks that paid pairs; 0 for all
        other rows, which are averaged over the budgets within each replicate first): `n` replicates, `mean`, `low` and
        `high` of MAP (Student's 95 % interval, missing where n < 2), `needs`, and means of the other numbers.
    """
    paid = table["pairs"].where(table["query"] == "attack", 0).astype("int64")
    table = table.assign(paid=paid)
    once = table.groupby([*_KEY, "replicate"], sort=False, as_index=False)[["map", *_MEANS]].mean()
    groups = once.groupby(_KEY, sort=False)
    cells: pd.DataFrame = groups["map"].agg(n="count", mean="mean", deviation="std").join(groups[list(_MEANS)].mean())
    cells["needs"] = table.groupby(_KEY, sort=False)["needs"].first()
    half = half_width(cells.pop("deviation").to_numpy(), cells["n"].to_numpy())
    cells = cells.assign(low=cells["mean"] - half, high=cells["mean"] + half)
    # ratio of means, as in the tables of a benchmark: a mean of ratios is ruled by the smallest bound
    cells["share"] = (cells["drop"] / cells["bound"]).where(cells["bound"] > 0)
    return cells.reset_index()


def settings_of(cells: pd.DataFrame) -> list[tuple[str, float, float]]:
    """Settings in the order in which a reader wants them: by place, then epsilon."""
    found = cells[SETTING].drop_duplicates().sort_values(SETTING)
    return [(str(place), float(eps), float(text)) for place, eps, text in found.itertuples(index=False)]


def title_of(setting: tuple[str, float, float]) -> str:
    """A setting in words."""
    place, epsilon, text_epsilon = setting
    return f"{place}, ε {epsilon:g}/255 on images, {text_epsilon:g} on texts"


def in_setting(cells: pd.DataFrame, setting: tuple[str, float, float]) -> pd.DataFrame:
    """The rows of one setting."""
    place, epsilon, text_epsilon = setting
    chosen = (cells["place"] == place) & (cells["epsilon"] == epsilon) & (cells["text_epsilon"] == text_epsilon)
    return cells[chosen]


def leading_setting(cells: pd.DataFrame) -> tuple[str, float, float]:
    """The setting with most attackers, then most replicates, then the largest epsilon: figures and examples show it."""
    attacks = cells[cells["query"] == "attack"] if (cells["query"] == "attack").any() else cells
    ranked = attacks.groupby(SETTING).agg(size=("label", "nunique"), n=("n", "max")).reset_index()
    best = ranked.sort_values(["size", "n", "epsilon", "text_epsilon", "place"]).iloc[-1]
    return str(best["place"]), float(best["epsilon"]), float(best["text_epsilon"])


def ordered_rows(cells: pd.DataFrame) -> list[tuple[str, str, int]]:
    """Query, label and paid pairs of each row of one setting: references first, then by what is needed, then by MAP."""
    rows = cells.assign(
        rank=cells["query"].map(_ORDER),
        need=cells["needs"].map(_NEEDS).fillna(len(_NEEDS)),
        best=cells.groupby(["query", "label"])["mean"].transform("min"),
    )
    rows = rows.sort_values(["rank", "need", "best", "label", "paid"], kind="stable")
    names = rows[["query", "label", "paid"]].drop_duplicates()
    return [(str(query), str(label), int(paid)) for query, label, paid in names.itertuples(index=False)]


def headline_sheets(cells: pd.DataFrame) -> Iterator[Sheet]:
    """One table for each setting."""
    for setting in settings_of(cells):
        yield _sheet(title_of(setting), in_setting(cells, setting))


def _sheet(title: str, cells: pd.DataFrame) -> Sheet:
    directions = [direction for direction in DIRECTIONS if (cells["direction"] == direction).any()]
    usual = int(cells["n"].max())
    columns = [Column("query", number=False), Column("pairs M")]
    for direction in directions:
        columns += [Column(name, DIRECTIONS[direction]) for name in ("MAP", "drop", "of bound")]
    rows = []
    for query, label, paid in ordered_rows(cells):
        own = cells[(cells["query"] == query) & (cells["label"] == label) & (cells["paid"] == paid)]
        needs = words("" if query == "clean" else own["needs"].iloc[0])
        row = [words(label), _count(query, paid)]
        for direction in directions:
            row += _numbers(query, own[own["direction"] == direction])
        seeds = Cell(", ".join(str(n) for n in sorted(set(own["n"]))), float(own["n"].max()))
        rows.append((*row, needs, _items(query, own["items"].max()), seeds))
    interval = "mean ± half of the 95 % interval (Student) over seeds" if usual > 1 else "one seed, no interval"
    note = (
        f"MAP: {interval}. Drop: MAP of the clean queries minus MAP. Of bound: drop as a share of the white-box drop. "
        "Rows that paid no pairs are averaged over the budgets M first. A run without a card is named by what sets it "
        "apart from the others."
    )
    columns += [Column("needs", number=False), Column("codes an item"), Column("seeds")]
    return Sheet(title, note, tuple(columns), tuple(rows))


def _count(query: str, paid: int) -> Cell:
    return number(paid, ",d") if query == "attack" else Cell("")


def _items(query: str, items: float) -> Cell:
    return number(float(items), ",.4g") if query == "attack" else Cell("")


def _numbers(query: str, own: pd.DataFrame) -> list[Cell]:
    if own.empty:
        return [Cell(MISSING), Cell(""), Cell("")]
    cell = own.iloc[0]
    mean, half, n = float(cell["mean"]), float(cell["high"] - cell["mean"]), int(cell["n"])
    text = f"{mean:.3f}"
    steady = query in ("clean", "chance") and half < _STEADY  # no question of the attacker's seed
    if n > 1 and not steady:
        text += f" ±{half:.3f}"
    if query in ("clean", "chance"):
        return [Cell(text, mean), Cell(""), Cell("")]
    return [Cell(text, mean), number(float(cell["drop"]), "+.3f"), number(float(cell["share"]), ".0%")]


def perceptibility_sheet(title: str, cells: pd.DataFrame) -> Sheet:
    """How visible the changes of one setting are, and what they do."""
    directions = [direction for direction in DIRECTIONS if (cells["direction"] == direction).any()]
    measures = {"drop": "+.3f", "distance": ".1f", "rms": ".4f", "psnr": ".1f", "ssim": ".3f"}
    heads = {"drop": "drop", "distance": "bits moved", "rms": "RMS", "psnr": "PSNR, dB", "ssim": "SSIM"}
    chosen = [(direction, name) for direction in directions for name in measures]
    chosen = [it for it in chosen if it[0] == "I2T" or it[1] not in ("psnr", "ssim")]
    rows = []
    for query, label, paid in ordered_rows(cells[~cells["query"].isin(["clean", "chance"])]):
        own = cells[(cells["query"] == query) & (cells["label"] == label) & (cells["paid"] == paid)]
        values = [_only(own, direction, name) for direction, name in chosen]
        forms = [measures[name] for _, name in chosen]
        row = (words(label), _count(query, paid), *map(number, values, forms))
        rows.append(row)
    columns = (Column("query", number=False), Column("pairs M"))
    return Sheet(
        title,
        "Means over attacked items of what the target was really shown: images after rounding to 8 bits. RMS: root "
        "mean square of the change, in units of the input. Bits moved: Hamming distance to the clean query's code.",
        (*columns, *(Column(heads[name], DIRECTIONS[direction]) for direction, name in chosen)),
        tuple(rows),
    )


def _only(own: pd.DataFrame, direction: str, name: str) -> Any:
    values = own.loc[own["direction"] == direction, name]
    return np.nan if values.empty else float(values.iloc[0])
